//! How a case is called: in windows against the clock, or so many times to count.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::hint::{black_box, spin_loop};
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use http::{Request, Uri};
use tokio::runtime::Runtime;
use tower::Service;

use crate::pace::{BATCH, Maker, Work};
use crate::{ORIGIN, request, uri};

/// A case, made: its calls can be timed and counted.
pub struct Made {
    maker: Maker<'static>,
    prepare: Box<dyn Fn(usize) -> Prepared>,
}

impl Made {
    /// Returns the maker of windows; each thread has its own clone of the service
    /// and its own URIs, and makes its requests as it goes.
    #[must_use]
    pub fn maker(&self) -> &Maker<'static> {
        &self.maker
    }

    /// Prepares so many calls: the requests are made, and one call has been made.
    #[must_use]
    pub fn prepare(&self, calls: usize) -> Prepared {
        (self.prepare)(calls)
    }
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Made").finish_non_exhaustive()
    }
}

/// Calls to come.
pub struct Prepared {
    calls: Box<dyn FnMut()>,
}

impl Prepared {
    /// Makes the calls. What is left is returned, so that its end is not counted.
    #[inline]
    #[must_use]
    pub fn run(mut self) -> impl Any {
        (self.calls)();
        self
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").finish_non_exhaustive()
    }
}

/// What is asked of a case, and for what.
pub(super) trait Asked: 'static {
    /// What a request is made of.
    type Target: 'static;
    type Request: 'static;

    /// Returns the target of the call of that number; each shares nothing with others.
    fn target(n: usize) -> Self::Target;
    fn request(target: &Self::Target) -> Self::Request;
}

/// One upstream is asked, by an `http::Request`.
pub(super) struct One;

impl Asked for One {
    type Target = Uri;
    type Request = Request<()>;

    fn target(_: usize) -> Uri {
        uri(ORIGIN)
    }

    #[inline]
    fn request(target: &Uri) -> Request<()> {
        request(target.clone())
    }
}

/// A hundred upstreams are asked in turn, of names as long.
///
/// The table's seed makes the way to "not here" longer for one than for another,
/// but their average is steady.
pub(super) struct Many;

impl Asked for Many {
    type Target = Uri;
    type Request = Request<()>;

    fn target(n: usize) -> Uri {
        uri(&format!("https://a{:02}.example.com", n % 100))
    }

    #[inline]
    fn request(target: &Uri) -> Request<()> {
        request(target.clone())
    }
}

/// Makes a case of a service, of which each thread has a clone.
pub(super) fn service<S>(service: S) -> Made
where
    S: Service<Request<()>> + Clone + Send + Sync + 'static,
{
    asked::<One, S>(service)
}

pub(super) fn asked<A, S>(service: S) -> Made
where
    A: Asked,
    S: Service<A::Request> + Clone + Send + Sync + 'static,
{
    made::<A, _>(move || {
        let mut service = service.clone();
        move |request| {
            black_box(&call(&mut service, request));
        }
    })
}

/// The same, for what needs tokio's time.
pub(super) fn timed<S>(service: S) -> Made
where
    S: Service<Request<()>> + Clone + Send + Sync + 'static,
{
    // One worker, which sleeps unless a timer has to be told.
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_time().build().expect("a runtime without I/O")
    });
    made::<One, _>(move || {
        let (mut service, entered) = (service.clone(), RUNTIME.enter());
        move |request| {
            let _ = &entered;
            black_box(&call(&mut service, request));
        }
    })
}

/// Makes a case of callers, one for each thread.
pub(super) fn made<A, C>(caller: impl Fn() -> C + Send + Sync + 'static) -> Made
where
    A: Asked,
    C: FnMut(A::Request) + 'static,
{
    let caller = Arc::new(caller);
    let of_thread = Arc::clone(&caller);
    let maker = move || -> Work<'static> {
        let mut call = of_thread();
        let targets: Vec<A::Target> = (0..BATCH).map(A::target).collect();
        Box::new(move || targets.iter().map(A::request).for_each(&mut call))
    };
    let prepare = move |calls: usize| {
        let mut call = caller();
        call(A::request(&A::target(0)));
        let mut requests: Vec<_> = (0..calls).map(|n| A::request(&A::target(n))).collect();
        Prepared { calls: Box::new(move || requests.drain(..).for_each(&mut call)) }
    };
    Made { maker: Box::new(maker), prepare: Box::new(prepare) }
}

/// One call: readied, called, and polled to its end.
///
/// What has to wait is asked again at once: on two threads, for another's lock.
#[inline]
fn call<S, R>(service: &mut S, request: R) -> Result<S::Response, S::Error>
where
    S: Service<R>,
{
    let mut context = Context::from_waker(Waker::noop());
    while service.poll_ready(&mut context).is_pending() {
        spin_loop();
    }
    // Pinned where it is made: moving it is no part of a call.
    poll(pin!(service.call(request)))
}

/// Polls to the end.
#[inline]
pub(super) fn finish<F: Future>(future: F) -> F::Output {
    poll(pin!(future))
}

#[inline]
fn poll<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut context) {
            return answer;
        }
        spin_loop();
    }
}
