//! A worker: a process that is in the fleet, and calls an upstream as it is told.
//!
//! It is this very program, started again with an environment variable set. What it is
//! to do comes line by line, and what it sees goes out so. It ends with its input. All
//! its tasks share one thread: so what the table says as a call is sent, is what the
//! call was let go by.

use std::future::{Future as _, poll_fn};
use std::io::{BufRead as _, Write as _};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::sleep;
use tower::{Layer, Service};
use tower_retry_after::observe::{self, Event};
use tower_retry_after::{
    Cooldowns, Error, Fleet, Ladder, Reason, RetryAfterBackoffLayer, State, Upstream, key,
};

use crate::book::Book;
use crate::chance::Chance;
use crate::clock;
use crate::crew::Settings;
use crate::site::WORKER;
use crate::witness::{Stage, Witness};

/// With what a worker's lines begin, so that the harness's own are none.
pub(crate) const MARK: &str = "fleet";

/// Tells a worker what it is to be.
pub(crate) const SETTINGS: &str = "TOWER_RETRY_AFTER_FLEET_WORKER";

/// Says something, with the time.
fn say(what: &str) {
    let line = format!("{MARK} {} {what}\n", clock::wall());
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).unwrap();
}

/// What became of calls.
#[derive(Default)]
struct Tally {
    answered: AtomicU64,
    refused: AtomicU64,
    held: AtomicU64,
    /// Failed otherwise than by a rate limit.
    failed: AtomicU64,
    /// Neither sent nor rejected at once, or answered and not told at once.
    waited: AtomicU64,
}

struct Caller<S> {
    client: S,
    url: String,
    id: u64,
    table: Cooldowns,
    name: fn(&Uri) -> Upstream,
    book: Arc<Book>,
    tally: Arc<Tally>,
}

/// What became of a call, for who made it.
enum Outcome {
    Answered(u16),
    Held(Reason, std::time::Duration),
    Failed,
}

impl<S> Caller<S>
where
    S: Service<Request<Full<Bytes>>, Error = Error> + Clone,
    S::Response: Status,
{
    async fn call(&self, path: &str) -> Outcome {
        let stage = Stage::default();
        let request = Request::get(format!("{}{path}", self.url)).header(WORKER, self.id);
        let request = request.extension(stage.clone()).body(Full::default()).unwrap();
        let upstream = (self.name)(request.uri());
        let mut client = self.client.clone();
        poll_fn(|cx| client.poll_ready(cx)).await.unwrap();
        let mut call = pin!(client.call(request));
        let answer = poll_fn(|cx| {
            let polled = call.as_mut().poll(cx);
            if polled.is_pending() && !stage.is_sent() {
                self.tally.waited.fetch_add(1, Ordering::Relaxed);
            }
            polled
        });
        let (count, outcome) = match answer.await {
            Ok(response) if response.status() == 429 => {
                self.book.notes(self.table.get(&upstream));
                (&self.tally.refused, Outcome::Answered(429))
            }
            Ok(response) => (&self.tally.answered, Outcome::Answered(response.status())),
            Err(Error::RateLimited(limited)) => {
                (&self.tally.held, Outcome::Held(limited.reason(), limited.retry_after()))
            }
            Err(error) => {
                say(&format!("failed {error:?}"));
                (&self.tally.failed, Outcome::Failed)
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
        outcome
    }

    /// Says how it stands with the upstream.
    fn say_table(&self) {
        let upstream = (self.name)(&self.url.parse().unwrap());
        let Some(info) = self.table.get(&upstream) else {
            return say("table clear 0 0");
        };
        let until = clock::wall_of(info.until().into_std());
        say(&format!("table {} {until} {}", info.state(), info.consecutive_failures()));
    }

    fn say_tally(&self) {
        let tally = &self.tally;
        let [answered, refused, held, failed, waited] =
            [&tally.answered, &tally.refused, &tally.held, &tally.failed, &tally.waited]
                .map(|count| count.swap(0, Ordering::Relaxed));
        let violations = self.book.violations();
        say(&format!("tally {answered} {refused} {held} {failed} {waited} {}", violations.len()));
        for violation in violations {
            say(&format!("violation {violation}"));
        }
    }
}

/// What is looked at of a response.
trait Status {
    fn status(&self) -> u16;
}

impl<B> Status for Response<B> {
    fn status(&self) -> u16 {
        self.status().as_u16()
    }
}

/// The table's observer: what changes is told.
fn told(event: &Event<'_>) {
    if let Event::Transition(transition) = event {
        let until = transition.until().map_or(0, |until| clock::wall_of(until.into_std()));
        let (from, to, by) = (transition.from(), transition.to(), transition.by());
        let by = by.to_string().replace(' ', "-");
        say(&format!("state {from} {to} {by} {until} {}", transition.consecutive_failures()));
    }
}

async fn work(settings: Settings) {
    let book = Arc::new(Book::default());
    let layer = RetryAfterBackoffLayer::builder()
        .ladder(Ladder::new(settings.base, settings.cap))
        .probe_lease(settings.lease)
        .observer((observe::from_fn(told), Arc::clone(&book)));
    let name: fn(&Uri) -> Upstream =
        if settings.keyed { |uri| Upstream::named(uri.path()) } else { Upstream::from_uri };
    let layer = if settings.keyed {
        layer.upstream_key(key::from_fn(|head| Upstream::named(head.uri().path()))).build()
    } else {
        layer.build()
    };
    let table = layer.cooldowns();
    let fleet = Fleet::join(&*settings.redis, &settings.namespace, &table).unwrap();
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let caller = Arc::new(Caller {
        client: layer.layer(Witness::new(client, Arc::clone(&book), name)),
        url: settings.url,
        id: settings.id,
        table,
        name,
        book,
        tally: Arc::default(),
    });

    fleet.in_step().await;
    say("ready");
    let mut is_calling = Arc::new(AtomicBool::new(false));
    let mut commands = commands();
    while let Some(command) = commands.recv().await {
        let (command, path) = command.split_once(' ').unwrap_or((&command, ""));
        match command {
            "call" => {
                // Those who rest yet from before are through.
                is_calling = Arc::new(AtomicBool::new(true));
                for number in 0..settings.callers {
                    let (caller, is_calling) = (Arc::clone(&caller), Arc::clone(&is_calling));
                    let mut chance = Chance::new(settings.id, number);
                    // From half to one and a half of it: who begins as one goes apart.
                    let pause = settings.pause;
                    let mut rest =
                        move || pause / 2 + pause * u32::try_from(chance.below(101)).unwrap() / 100;
                    tokio::task::spawn_local(async move {
                        while is_calling.load(Ordering::Relaxed) {
                            match caller.call("").await {
                                Outcome::Held(_, wait) => sleep(wait).await,
                                Outcome::Answered(_) | Outcome::Failed => {
                                    sleep(rest()).await;
                                }
                            }
                        }
                    });
                }
            }
            "rest" => is_calling.store(false, Ordering::Relaxed),
            "once" => match caller.call(path).await {
                Outcome::Answered(status) => say(&format!("once {status}")),
                Outcome::Held(reason, wait) => {
                    say(&format!("once {reason:?} {}", wait.as_micros()));
                }
                Outcome::Failed => say("once failed"),
            },
            "watch" => {
                let (caller, path) = (Arc::clone(&caller), path.to_owned());
                tokio::task::spawn_local(async move {
                    let mut is_told = false;
                    while let Outcome::Answered(_) = caller.call(&path).await {
                        if !is_told {
                            say("watching");
                            is_told = true;
                        }
                    }
                    say("rejected");
                });
            }
            "cool" => {
                let upstream = (caller.name)(&caller.url.parse().unwrap());
                let wait = std::time::Duration::from_millis(path.parse().unwrap());
                caller.table.cool(&upstream, wait);
            }
            "table" => caller.say_table(),
            "tally" => caller.say_tally(),
            "step" => {
                let problem = fleet.last_problem().unwrap_or_default();
                say(&format!("step {} {} {problem}", fleet.is_in_step(), fleet.ignored()));
            }
            other => panic!("{other}"),
        }
    }
}

/// What comes line by line, read on a thread of its own.
fn commands() -> tokio::sync::mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The worker's own main function; for who is none, a look whether the harness works.
#[test]
fn a_worker_is_this_very_program() {
    if let Ok(settings) = std::env::var(SETTINGS) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, work(Settings::read(&settings)));
        std::process::exit(0);
    }
    crate::with_redis(async |redis| {
        let site = crate::site::Site::start(|_| crate::site::Reply::ok(std::time::Duration::ZERO));
        let site = site.await;
        let settings = Settings::new(redis, &site).with(|settings| settings.callers = 2);
        let mut worker = crate::crew::Worker::start(&settings);

        worker.say("call");
        let served = crate::server::until(crate::support::secs(10), || site.requests() > 20);
        worker.say("rest");

        assert!(served.is_some());
        let tally = worker.tally();
        assert!(tally.answered > 18 && tally.is_calm(), "{tally:?}");
        assert_eq!(worker.table().state, State::Clear.to_string());
    });
}
