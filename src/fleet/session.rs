//! One connection's life: all is read, then what happens is told and heard.
//!
//! *In which order?* Events of one upstream go one batch at a time, those that come
//! meanwhile with the next: so they arrive in their order, and a slow Redis gets
//! larger batches and not more of them. Different upstreams do not wait for each other.
//!
//! *What if news are lost?* Each change has a number, without gaps for those who hear
//! all. Where one is missing for longer than two connections may differ, all is
//! read again; so it is where Redis has lost what it knew, which its epoch tells.
//!
//! *Do news overtake answers?* They must not: what is told while events of ours are on
//! their way is left to the answer to those (`link/hearing.rs`), which knows nothing of
//! what came after it. So the answers are taken in first that came before the news.

mod answers;
mod news;
mod reading;

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::FuturesUnordered;
use redis::PushInfo;
use tokio::time::{Instant, Sleep, sleep_until};

pub(super) use self::answers::give_first;
use self::reading::Census;
use super::event::{self, Event, What};
use super::link::{Letter, Member, Purpose, Stage};
use super::name;
use super::numbers::Numbers;
use super::pace::Trouble;
use super::server::{Answer, Failure, Pushes, Server};
use super::status::Status;
use crate::ambient;
use crate::cooldown::Rules;
use crate::cooldowns::{Cooldowns, WeakCooldowns};
use crate::upstream::Upstream;

/// How many batches are on their way at once.
const AT_ONCE: usize = 128;

/// How many events of one upstream may wait for their turn.
///
/// Some seconds' worth of successes of an upstream that reopens, with a slow Redis;
/// if more come, it is cheaper to read all anew.
const WAITING: usize = 1024;

/// Why a session has ended.
#[derive(Debug)]
pub(super) enum End {
    /// Nobody holds the table any more.
    Gone,
    Trouble(Trouble, String),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Bad(what) => Self::Trouble(Trouble::Unusable, format!("bad data: {what}")),
            Failure::Redis(trouble, why) => Self::Trouble(trouble, why),
        }
    }
}

pub(super) struct Session<'a> {
    table: WeakCooldowns,
    status: &'a Status,
    me: Arc<str>,
    server: Server,
    pushes: Pushes,
    /// What has come by itself, until the answers that came before it are taken in.
    pushed: Option<PushInfo>,
    /// What is told of each upstream, where something is.
    lines: HashMap<Upstream, Line>,
    /// Whose turn it is, once there are fewer on their way.
    queue: VecDeque<Upstream>,
    answers: FuturesUnordered<OnItsWay>,
    /// Places to be asked for once more.
    again: VecDeque<(Instant, Upstream, Event)>,
    /// Leases that wait for a call, the oldest first.
    given: VecDeque<(Instant, Upstream)>,
    /// What was heard, in the sessions before as well.
    known: &'a mut Known,
    numbers: Numbers,
    /// What the fleet knows, and when what only this table knows is told.
    census: Option<Census>,
    timer: Pin<Box<Sleep>>,
}

/// A batch of events, until Redis has answered.
type OnItsWay = Pin<Box<dyn Future<Output = (Upstream, Answer)> + Send>>;

/// What outlives a session of what was heard.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Whose numbers they were: another one, and Redis has lost what it knew.
    epoch: String,
    /// The newest.
    number: u64,
}

/// What is told of one upstream.
#[derive(Debug, Default)]
struct Line {
    /// What is on its way, if anything is.
    sent: Option<Vec<(Event, Purpose)>>,
    waiting: Vec<(Event, Purpose)>,
}

/// What a session waits for.
enum Input {
    Letter(Letter),
    Push(PushInfo),
    Answer(Upstream, Answer),
    Timer,
    End(End),
}

impl<'a> Session<'a> {
    pub(super) fn new(
        table: WeakCooldowns,
        status: &'a Status,
        me: Arc<str>,
        server: Server,
        pushes: Pushes,
        known: &'a mut Known,
    ) -> Self {
        Self {
            table,
            status,
            me,
            server,
            pushes,
            pushed: None,
            lines: HashMap::new(),
            queue: VecDeque::new(),
            answers: FuturesUnordered::new(),
            given: VecDeque::new(),
            known,
            again: VecDeque::new(),
            numbers: Numbers::default(),
            census: None,
            timer: Box::pin(sleep_until(ambient::later(ambient::now(), ambient::FAR))),
        }
    }

    /// Goes on until the connection fails, or nobody holds the table any more. Returns
    /// how long the table was in step as well.
    pub(super) async fn run(mut self, member: Member) -> (End, Duration) {
        let mut in_step = None;
        let end = match self.go_on(member, &mut in_step).await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        let since = |at| ambient::now().saturating_duration_since(at);
        (end, in_step.map_or(Duration::ZERO, since))
    }

    async fn go_on(
        &mut self,
        member: Member,
        in_step: &mut Option<Instant>,
    ) -> Result<Infallible, End> {
        let table = self.table()?;
        table.link().enter(member, Stage::Reading);
        self.read_all(&table).await?;
        table.link().enter(member, Stage::InStep);
        drop(table);
        self.status.reached();
        *in_step = Some(ambient::now());
        self.set_timer();
        loop {
            let input = self.next().await;
            let table = self.table()?;
            match input {
                Input::Letter(letter) => self.post_all(&table, letter)?,
                Input::Push(push) => self.pushed(&table, &push)?,
                Input::Answer(upstream, answer) => self.answered(&table, &upstream, answer)?,
                Input::Timer => self.look_at_the_clock(&table).await?,
                Input::End(end) => return Err(end),
            }
            self.send();
            self.set_timer();
            let link = table.link();
            link.tidy(table.tracked(), |upstream| table.is_tracked(upstream));
        }
    }

    fn table(&self) -> Result<Cooldowns, End> {
        self.table.upgrade().ok_or(End::Gone)
    }

    /// Waits for something to happen.
    async fn next(&mut self) -> Input {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        if self.pushed.is_none()
            && let Poll::Ready(push) = self.pushes.poll_recv(cx)
        {
            let Some(push) = push else {
                return Poll::Ready(Input::End(disconnected()));
            };
            self.pushed = Some(push);
        }
        if let Poll::Ready(Some((upstream, answer))) = pin!(&mut self.answers).poll_next(cx) {
            return Poll::Ready(Input::Answer(upstream, answer));
        }
        if let Some(push) = self.pushed.take() {
            return Poll::Ready(Input::Push(push));
        }
        let Some(table) = self.table.upgrade() else {
            return Poll::Ready(Input::End(End::Gone));
        };
        match table.link().poll_letter(cx) {
            Poll::Ready(Ok(letter)) => return Poll::Ready(Input::Letter(letter)),
            Poll::Ready(Err(_)) => return Poll::Ready(Input::End(overrun())),
            Poll::Pending => {}
        }
        self.timer.as_mut().poll(cx).map(|()| Input::Timer)
    }

    /// Takes a letter of ours, and those that are there as well: a success and the
    /// places that the table gives by it are told in one breath, or others would be
    /// given the same places in between.
    fn post_all(&mut self, table: &Cooldowns, first: Letter) -> Result<(), End> {
        let mut next = Some(first);
        while let Some(letter) = next {
            self.post(letter)?;
            next = table.link().next_letter();
        }
        Ok(())
    }

    /// Takes a letter of ours.
    fn post(&mut self, letter: Letter) -> Result<(), End> {
        let Letter { upstream, event, purpose } = letter;
        if self.lines.get(&upstream).is_some_and(|line| line.waiting.len() >= WAITING) {
            return Err(overrun());
        }
        self.tell(upstream, event, purpose);
        Ok(())
    }

    /// Tells an event of the driver's own.
    fn errand(&mut self, table: &Cooldowns, upstream: &Upstream, event: Event, purpose: Purpose) {
        table.link().sends(upstream);
        self.tell(upstream.clone(), event, purpose);
    }

    fn tell(&mut self, upstream: Upstream, event: Event, purpose: Purpose) {
        let line = self.lines.entry(upstream.clone()).or_default();
        if line.sent.is_none() && line.waiting.is_empty() {
            self.queue.push_back(upstream);
        }
        line.waiting.push((event, purpose));
    }

    /// Sends what waits, as far as not too much is on its way.
    fn send(&mut self) {
        while self.answers.len() < AT_ONCE
            && let Some(upstream) = self.queue.pop_front()
        {
            let Some(line) = self.lines.get_mut(&upstream) else {
                continue;
            };
            let Some(name) = name::write(&upstream) else {
                // It means nothing to others: whoever waits for an answer goes alone.
                self.lines.remove(&upstream);
                continue;
            };
            let batch = std::mem::take(&mut line.waiting);
            let events = batch.iter().map(|(event, _)| event.to_string()).collect();
            line.sent = Some(batch);
            let call = self.server.clone().apply(name, events);
            self.answers.push(Box::pin(async move { (upstream, call.await) }));
        }
    }

    fn check_epoch(&self, epoch: &str) -> Result<(), End> {
        if epoch == self.known.epoch {
            return Ok(());
        }
        Err(End::Trouble(Trouble::Lost, "redis has lost what it knew".to_owned()))
    }

    /// Does what is due.
    async fn look_at_the_clock(&mut self, table: &Cooldowns) -> Result<(), End> {
        let now = ambient::now();
        while let Some((until, upstream)) = self.given.front()
            && now >= *until
        {
            let upstream = upstream.clone();
            self.given.pop_front();
            if let Some(probe) = table.link().lapse(&upstream, table.moment_now()) {
                let event = Event { what: What::Kept, policy: table.policy(&Rules::default()) };
                self.give_back(table, &upstream, event, event::Role::Probe(probe));
            }
        }
        while let Some((at, upstream, event)) = self.again.front()
            && now >= *at
        {
            let (upstream, event) = (upstream.clone(), *event);
            self.again.pop_front();
            self.errand(table, &upstream, event, Purpose::PlaceAgain);
        }
        if let Some(census) = self.census.take_if(|census| now >= census.due) {
            census.tell_rest(table);
        }
        if self.numbers.due().is_some_and(|due| now >= due) {
            self.read_all(table).await?;
        }
        Ok(())
    }

    fn set_timer(&mut self) {
        let lapse = self.given.front().map(|(until, _)| *until);
        let census = self.census.as_ref().map(|census| census.due);
        let again = self.again.front().map(|(at, ..)| *at);
        let due = [lapse, again, census, self.numbers.due()].into_iter().flatten().min();
        let due = due.unwrap_or_else(|| ambient::later(ambient::now(), ambient::FAR));
        if self.timer.deadline() != due {
            self.timer.as_mut().reset(due);
        }
    }
}

fn overrun() -> End {
    End::Trouble(Trouble::Lost, "more happened than could be told".to_owned())
}

fn disconnected() -> End {
    End::Trouble(Trouble::Unreached, "redis has closed the connection".to_owned())
}
