//! A proxy between a process and its Redis, that misbehaves as it is told.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::chance::Chance;
use crate::frames;

/// What becomes of what is sent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Mode {
    #[default]
    Passes,
    /// Nothing comes through, and all of it once it passes again; as TCP would have it.
    Stalls,
    /// What is sent is gone. A connection that has lost something never heals; new ones
    /// are accepted, and are as deaf.
    Swallows,
    /// All connections are broken off, and new ones as soon as they are there.
    Cuts,
}

/// How the way to Redis is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Way {
    pub(crate) mode: Mode,
    /// How long what is sent takes longer, there and back.
    pub(crate) there: Duration,
    pub(crate) back: Duration,
    /// Of a hundred news, how many come twice, after the next ones, or never.
    pub(crate) twice: u64,
    pub(crate) late: u64,
    pub(crate) lost: u64,
}

impl Way {
    pub(crate) fn of(mode: Mode) -> Self {
        Self { mode, ..Self::default() }
    }
}

/// How long a news is held back at most; that other ones may overtake it.
const LATE: Duration = Duration::from_millis(40);

/// A way to Redis, of one process's own.
pub(crate) struct Proxy {
    port: u16,
    sets: watch::Sender<Way>,
    tally: Arc<Mutex<Tally>>,
}

/// What the proxy has done to news.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) connections: u64,
    pub(crate) news: u64,
    pub(crate) twice: u64,
    pub(crate) late: u64,
    pub(crate) lost: u64,
}

impl Proxy {
    /// Starts one before the Redis of that port; it ends with the runtime.
    pub(crate) async fn start(redis: u16, seed: u64) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sets, way) = watch::channel(Way::default());
        let tally = Arc::new(Mutex::new(Tally::default()));
        let kept = Arc::clone(&tally);
        tokio::spawn(async move {
            let mut count = 0;
            while let Ok((client, _)) = listener.accept().await {
                count += 1;
                kept.lock().unwrap().connections += 1;
                if way.borrow().mode == Mode::Cuts {
                    continue;
                }
                let (way, tally) = (way.clone(), Arc::clone(&kept));
                let chance = Chance::new(seed, count);
                tokio::spawn(async move {
                    if let Ok(redis) = TcpStream::connect(("127.0.0.1", redis)).await {
                        join(client, redis, way, tally, chance).await;
                    }
                });
            }
        });
        Self { port, sets, tally }
    }

    /// Sets how the way is from now on.
    pub(crate) fn set(&self, way: Way) {
        self.sets.send_replace(way);
    }

    pub(crate) fn url(&self) -> String {
        crate::server::url(self.port)
    }

    pub(crate) fn tally(&self) -> Tally {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes on what two have to say to each other, until one has gone or is cut off.
async fn join(
    client: TcpStream,
    redis: TcpStream,
    mut way: watch::Receiver<Way>,
    tally: Arc<Mutex<Tally>>,
    chance: Chance,
) {
    for stream in [&client, &redis] {
        stream.set_nodelay(true).unwrap();
    }
    let (from_client, to_client) = client.into_split();
    let (from_redis, to_redis) = redis.into_split();
    let is_deaf = Deaf::default();
    let there =
        Pump { way: way.clone(), delay: |way| way.there, is_deaf: is_deaf.clone(), news: None };
    let news = News { tally, chance };
    let back = Pump { way: way.clone(), delay: |way| way.back, is_deaf, news: Some(news) };
    tokio::select! {
        () = there.run(from_client, to_redis) => {}
        () = back.run(from_redis, to_client) => {}
        _ = way.wait_for(|way| way.mode == Mode::Cuts) => {}
    }
}

/// Whether a connection has lost something, and so everything.
#[derive(Clone, Default)]
struct Deaf(Arc<std::sync::atomic::AtomicBool>);

impl Deaf {
    fn get(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn set(&self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

/// What is done to news on their way.
struct News {
    tally: Arc<Mutex<Tally>>,
    chance: Chance,
}

impl News {
    /// Returns how often a news is to come, and whether it is held back.
    fn fate(&mut self, way: &Way) -> (usize, bool) {
        let mut tally = self.tally.lock().unwrap();
        tally.news += 1;
        let share = self.chance.below(100);
        if share < way.lost {
            tally.lost += 1;
            (0, false)
        } else if share < way.lost + way.twice {
            tally.twice += 1;
            (2, false)
        } else if share < way.lost + way.twice + way.late {
            tally.late += 1;
            (1, true)
        } else {
            (1, false)
        }
    }
}

/// One direction of a connection.
struct Pump {
    way: watch::Receiver<Way>,
    delay: fn(&Way) -> Duration,
    is_deaf: Deaf,
    /// Frame by frame, where there is something to be done to some.
    news: Option<News>,
}

impl Pump {
    async fn run(self, from: OwnedReadHalf, to: OwnedWriteHalf) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (way, is_deaf) = (self.way.clone(), self.is_deaf.clone());
        tokio::select! {
            () = self.read(from, sender) => {}
            () = write(to, receiver, way, is_deaf) => {}
        }
    }

    async fn read(mut self, from: OwnedReadHalf, to: mpsc::UnboundedSender<Parcel>) {
        let mut bytes = vec![0; 64 * 1024];
        let mut pending = Vec::new();
        // A news that is held back, until then or until others have overtaken it.
        let mut held: Option<(Instant, u32, Vec<u8>)> = None;
        loop {
            let deadline = held.as_ref().map_or(LATE, |(until, ..)| {
                until.saturating_duration_since(Instant::from_std(crate::clock::now()))
            });
            let read = timeout(deadline, receive(&from, &mut bytes)).await;
            let way = *self.way.borrow();
            let due = Instant::from_std(crate::clock::now()) + (self.delay)(&way);
            let send = |frame: Vec<u8>| to.send(Parcel { due, bytes: frame }).is_ok();
            match read {
                Ok(Ok(0) | Err(_)) => return,
                Err(_) => {
                    if let Some((.., frame)) = held.take() {
                        send(frame);
                    }
                    continue;
                }
                Ok(Ok(count)) => pending.extend_from_slice(&bytes[..count]),
            }
            let Some(news) = &mut self.news else {
                send(std::mem::take(&mut pending));
                continue;
            };
            while let Some(length) = frames::length(&pending) {
                let frame: Vec<u8> = pending.drain(..length).collect();
                if !frames::is_news(&frame) {
                    send(frame);
                    continue;
                }
                let (times, is_late) = news.fate(&way);
                if is_late && held.is_none() {
                    held = Some((due + LATE, 2, frame));
                    continue;
                }
                for _ in 0..times {
                    send(frame.clone());
                }
                if let Some((until, left, frame)) = held.take() {
                    match left.checked_sub(1) {
                        None | Some(0) => drop(send(frame)),
                        Some(left) => held = Some((until, left, frame)),
                    }
                }
            }
        }
    }
}

struct Parcel {
    due: Instant,
    bytes: Vec<u8>,
}

async fn write(
    to: OwnedWriteHalf,
    mut parcels: mpsc::UnboundedReceiver<Parcel>,
    mut way: watch::Receiver<Way>,
    is_deaf: Deaf,
) {
    while let Some(Parcel { due, bytes }) = parcels.recv().await {
        sleep_until(due).await;
        let Ok(mode) = way.wait_for(|way| way.mode != Mode::Stalls).await.map(|way| way.mode)
        else {
            return;
        };
        if mode == Mode::Swallows {
            is_deaf.set();
        }
        if is_deaf.get() {
            continue;
        }
        if send_all(&to, &bytes).await.is_err() {
            return;
        }
    }
}

async fn receive(from: &OwnedReadHalf, bytes: &mut [u8]) -> io::Result<usize> {
    loop {
        from.readable().await?;
        match from.try_read(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

async fn send_all(to: &OwnedWriteHalf, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
