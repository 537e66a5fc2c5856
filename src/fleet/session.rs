//! One connection's life: all is read, then what happens is told and heard.
//!
//! *In which order?* Events of one upstream go one batch at a time, those that come
//! meanwhile with the next: so they arrive in their order, and a slow Redis gets
//! larger batches and not more of them. Different upstreams do not wait for each other.
//!
//! *What if news are lost?* Each change has a number, without gaps for those who hear
//! all. Where one is missing for longer than two connections may differ, all is
//! read again; so it is where Redis has lost what it knew, which its epoch tells.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::FuturesUnordered;
use redis::{PushInfo, PushKind, Value};
use tokio::time::{Instant, Sleep, sleep_until};

use super::bulletin::{Bulletin, Phase as Heard};
use super::event::{self, Event, What};
use super::link::{Grant, Hearing, Leased, Letter, Purpose, Stage, TURN};
use super::name;
use super::pace::Trouble;
use super::server::{Answer, Failure, Pushes, Server};
use super::status::Status;
use crate::ambient;
use crate::cooldown::{FIRST_PLACES, Phase, Rules, Word};
use crate::cooldowns::{Cooldowns, WeakCooldowns};
use crate::moment::Moment;
use crate::upstream::Upstream;

/// How many batches are on their way at once.
const AT_ONCE: usize = 128;

/// How many events of one upstream may wait for their turn.
///
/// Some seconds' worth of successes of an upstream that reopens, with a slow Redis;
/// if more come, it is cheaper to read all anew.
const WAITING: usize = 1024;

/// How many numbers may be missing before all is read again at once.
const MISSING: usize = 256;

/// How long a missing number is waited for.
const GRACE: Duration = Duration::from_millis(100);

/// How much later a cooldown must end here than in the fleet to be told of.
///
/// What is heard ends here as much later as it took to come.
const LATER: Duration = Duration::from_millis(500);

/// What a full read has told: the rungs, and the ends of the cooldowns.
type Told = HashMap<Upstream, (u32, Moment)>;

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
    /// What is told of each upstream, where something is.
    lines: HashMap<Upstream, Line>,
    /// Whose turn it is, once there are fewer on their way.
    queue: VecDeque<Upstream>,
    answers: FuturesUnordered<Pin<Box<dyn Future<Output = (Upstream, Answer)> + Send>>>,
    /// Leases that wait for a call, the oldest first.
    given: VecDeque<(Instant, Upstream)>,
    /// Whose numbers were heard, the sessions before included.
    epoch: &'a mut String,
    /// The newest number that has come.
    newest: u64,
    /// Those below that have not.
    missing: BTreeSet<u64>,
    missing_since: Option<Instant>,
    timer: Pin<Box<Sleep>>,
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
        epoch: &'a mut String,
    ) -> Self {
        Self {
            table,
            status,
            me,
            server,
            pushes,
            lines: HashMap::new(),
            queue: VecDeque::new(),
            answers: FuturesUnordered::new(),
            given: VecDeque::new(),
            epoch,
            newest: 0,
            missing: BTreeSet::new(),
            missing_since: None,
            timer: Box::pin(sleep_until(ambient::later(ambient::now(), ambient::FAR))),
        }
    }

    /// Goes on until the connection fails, or nobody holds the table any more.
    /// `is_well` is called once the table is in step.
    pub(super) async fn run(mut self, is_well: impl FnOnce()) -> End {
        match self.go_on(is_well).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn go_on(&mut self, is_well: impl FnOnce()) -> Result<std::convert::Infallible, End> {
        let table = self.table()?;
        table.link().enter(Stage::Reading);
        self.read_all(&table).await?;
        table.link().enter(Stage::InStep);
        drop(table);
        self.status.reached();
        is_well();
        loop {
            let input = self.next().await;
            let table = self.table()?;
            match input {
                Input::Letter(letter) => self.post(letter)?,
                Input::Push(push) => self.pushed(&table, &push)?,
                Input::Answer(upstream, answer) => self.answered(&table, upstream, answer)?,
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
        if let Poll::Ready(push) = self.pushes.poll_recv(cx) {
            return Poll::Ready(push.map_or_else(|| Input::End(disconnected()), Input::Push));
        }
        if let Poll::Ready(Some((upstream, answer))) = pin!(&mut self.answers).poll_next(cx) {
            return Poll::Ready(Input::Answer(upstream, answer));
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

    /// Takes a letter of ours.
    fn post(&mut self, letter: Letter) -> Result<(), End> {
        let Letter { upstream, event, purpose } = letter;
        if self.lines.get(&upstream).is_some_and(|line| line.waiting.len() >= WAITING) {
            return Err(overrun());
        }
        self.tell(upstream, event, purpose);
        Ok(())
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

    /// Takes in what Redis answers to a batch of ours.
    fn answered(
        &mut self,
        table: &Cooldowns,
        upstream: Upstream,
        answer: Answer,
    ) -> Result<(), End> {
        let Some(line) = self.lines.get_mut(&upstream) else {
            return Ok(());
        };
        let batch = line.sent.take().unwrap_or_default();
        let is_idle = line.waiting.is_empty();
        if is_idle {
            self.lines.remove(&upstream);
        } else {
            self.queue.push_back(upstream.clone());
        }
        let texts: Vec<String> = match answer {
            Ok(texts) => {
                texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
            }
            Err(Failure::Bad(what)) => {
                self.status.ignore(&format!("{what}, of {upstream}"));
                self.let_go(table, &upstream, &batch);
                return Ok(());
            }
            Err(failure) => return Err(failure.into()),
        };
        let Some((Some(bulletin), effects)) =
            texts.split_first().map(|(head, effects)| (Bulletin::read(head), effects))
        else {
            self.status.ignore(&format!("garbage, of {upstream}"));
            self.let_go(table, &upstream, &batch);
            return Ok(());
        };
        self.check_epoch(bulletin.epoch)?;
        let heard = Hearing {
            me: &self.me,
            is_answer: true,
            outdated: effects.iter().any(|effect| effect == "outdate"),
            outstanding: !is_idle,
        };
        table.hear(&upstream, |state, now| {
            table.link().hear(&upstream, state, &bulletin, &heard, now)
        });
        for ((event, purpose), effect) in batch.iter().zip(effects) {
            self.grant(table, &upstream, *event, *purpose, effect);
        }
        if is_idle && bulletin.phase == Heard::Reopening {
            self.square(table, &upstream, bulletin.mine);
        }
        Ok(())
    }

    /// Does what follows from the answer to one event.
    fn grant(
        &mut self,
        table: &Cooldowns,
        upstream: &Upstream,
        event: Event,
        purpose: Purpose,
        effect: &str,
    ) {
        let link = table.link();
        let word = match purpose {
            Purpose::Tell | Purpose::Taken => return,
            Purpose::Probe => {
                let grant = match (effect, effect.strip_prefix("admit probe ")) {
                    (_, Some(number)) => {
                        number.parse().map_or(Grant::Denied, |number| Grant::Probe(Some(number)))
                    }
                    ("admit free", None) => Grant::Probe(None),
                    // A place will do as well: the upstream is Reopening.
                    ("admit place", None) => {
                        link.leased(upstream, Grant::Denied, table.moment_now());
                        self.give(table, upstream, 1);
                        return;
                    }
                    _ => Grant::Denied,
                };
                match link.leased(upstream, grant, table.moment_now()) {
                    Leased::Waits { .. } => {
                        let until = ambient::later(ambient::now(), TURN);
                        self.given.push_back((until, upstream.clone()));
                        Word::Given
                    }
                    Leased::Unwanted { probe } => {
                        self.give_back(table, upstream, event, event::Role::Probe(probe));
                        return;
                    }
                    Leased::Used => return,
                }
            }
            Purpose::Place => match effect {
                "admit place" => return self.give(table, upstream, 1),
                // Nobody in the fleet knows of it: what is left of its way back is ours.
                "admit free" => return self.give_first(table, upstream),
                _ => return,
            },
        };
        table.hear(upstream, |_, _| link.is_given(upstream).then_some(word));
    }

    /// Gives places to the table, if it still wants them.
    fn give(&mut self, table: &Cooldowns, upstream: &Upstream, places: u32) {
        table.hear(upstream, |_, _| Some(Word::Room(places)));
    }

    /// Gives the table as many places as a Reopening upstream has at first.
    fn give_first(&mut self, table: &Cooldowns, upstream: &Upstream) {
        table.hear(upstream, |state, _| match state.phase {
            Phase::Reopening { width, .. } => Some(Word::Room(FIRST_PLACES.saturating_sub(width))),
            Phase::Clear | Phase::Cooling { .. } | Phase::Probing { .. } => None,
        });
    }

    /// Gives a probe or a place back that nobody here has used.
    fn give_back(
        &mut self,
        table: &Cooldowns,
        upstream: &Upstream,
        event: Event,
        role: event::Role,
    ) {
        let seen = table.link().seen(upstream);
        let from = event::Standing { seen, stale: false, role };
        let what = What::Dropped { from };
        self.tell(upstream.clone(), Event { what, ..event }, Purpose::Tell);
    }

    /// Brings the places that the table gives in line with those that it has.
    fn square(&mut self, table: &Cooldowns, upstream: &Upstream, mine: u32) {
        let mut surplus = 0;
        table.hear(upstream, |state, _| match state.phase {
            Phase::Reopening { width, .. } if width < mine => {
                surplus = mine.saturating_sub(width);
                None
            }
            Phase::Reopening { width, in_flight } if width > mine && width > in_flight => {
                Some(Word::Yielded)
            }
            Phase::Clear
            | Phase::Cooling { .. }
            | Phase::Probing { .. }
            | Phase::Reopening { .. } => None,
        });
        let policy = table.policy(&Rules::default());
        for _ in 0..surplus {
            let event = Event { what: What::Kept, policy };
            self.give_back(table, upstream, event, event::Role::Place);
        }
    }

    /// Lets a call go alone that waits for an answer which will not come.
    fn let_go(&mut self, table: &Cooldowns, upstream: &Upstream, batch: &[(Event, Purpose)]) {
        for (event, purpose) in batch {
            self.grant(table, upstream, *event, *purpose, "admit free");
        }
    }

    /// Takes in what comes by itself.
    fn pushed(&mut self, table: &Cooldowns, push: &PushInfo) -> Result<(), End> {
        match push.kind {
            PushKind::Disconnection => return Err(disconnected()),
            PushKind::Message => {}
            _ => return Ok(()),
        }
        let text = match push.data.last() {
            Some(Value::BulkString(bytes)) => String::from_utf8_lossy(bytes),
            _ => return Ok(()),
        };
        let Some(bulletin) = Bulletin::read(&text) else {
            self.status.ignore("garbage among the news");
            return Ok(());
        };
        self.check_epoch(bulletin.epoch)?;
        if bulletin.phase == Heard::Wanted {
            self.wanted(table, &bulletin);
            return Ok(());
        }
        self.count(bulletin.number);
        self.hear(table, &bulletin);
        Ok(())
    }

    /// Takes in how it stands with an upstream.
    fn hear(&mut self, table: &Cooldowns, bulletin: &Bulletin<'_>) {
        let Some(upstream) = name::read(bulletin.name) else {
            self.status.ignore(&format!("no name of an upstream: {}", bulletin.name));
            return;
        };
        let heard = Hearing {
            me: &self.me,
            is_answer: false,
            outdated: false,
            outstanding: self.lines.contains_key(&upstream),
        };
        table.hear(&upstream, |state, now| {
            table.link().hear(&upstream, state, bulletin, &heard, now)
        });
    }

    /// Notes the number of what has come.
    fn count(&mut self, number: u64) {
        if number <= self.newest {
            self.missing.remove(&number);
        } else {
            let first = self.newest.saturating_add(1);
            // No more than is too much anyhow.
            let skipped = (first..number).take(MISSING.saturating_add(1));
            self.missing.extend(skipped);
            self.newest = number;
        }
        if self.missing.is_empty() {
            self.missing_since = None;
        } else if self.missing_since.is_none() {
            self.missing_since = Some(ambient::now());
        }
    }

    /// Yields the places that no call here holds: somebody wants one.
    fn wanted(&mut self, table: &Cooldowns, bulletin: &Bulletin<'_>) {
        let Some(upstream) = name::read(bulletin.name) else {
            return;
        };
        let mut held = None;
        table.hear(&upstream, |state, _| match state.phase {
            Phase::Reopening { width, in_flight } if width > 0 => {
                held = Some(width.saturating_sub(in_flight));
                Some(Word::Yielded)
            }
            Phase::Clear
            | Phase::Cooling { .. }
            | Phase::Probing { .. }
            | Phase::Reopening { .. } => {
                held = None;
                None
            }
        });
        let Some(spare) = held else {
            return;
        };
        let event = Event { what: What::Kept, policy: table.policy(&Rules::default()) };
        self.tell(upstream.clone(), event, Purpose::Tell);
        for _ in 0..spare {
            self.give_back(table, &upstream, event, event::Role::Place);
        }
    }

    fn check_epoch(&self, epoch: &str) -> Result<(), End> {
        if epoch == self.epoch.as_str() {
            return Ok(());
        }
        Err(End::Trouble(Trouble::Lost, "redis has lost what it knew".to_owned()))
    }

    /// Reads all that the fleet knows, and tells it what only this table knows.
    async fn read_all(&mut self, table: &Cooldowns) -> Result<(), End> {
        let mut before = table.link().heard_of();
        let mut told = Told::new();
        let mut cursor = 0;
        let mut first: Option<(String, u64)> = None;
        loop {
            let page = self.server.read(cursor).await?;
            let (epoch, _) = first.get_or_insert_with(|| (page.epoch.clone(), page.number));
            if *epoch != page.epoch {
                return Err(End::Trouble(Trouble::Lost, "redis has lost what it knew".to_owned()));
            }
            if *self.epoch != page.epoch {
                self.epoch.clone_from(&page.epoch);
                table.link().begin_anew();
                // What another Redis knew is not forgotten because this one does not.
                before.clear();
            }
            for text in &page.bulletins {
                match Bulletin::read(text) {
                    Some(bulletin) if bulletin.phase == Heard::Bad => {
                        self.status.ignore(&format!("{}, of {}", bulletin.by, bulletin.name));
                    }
                    Some(bulletin) => {
                        self.hear(table, &bulletin);
                        if let Some(upstream) = name::read(bulletin.name) {
                            let ends = bulletin.ends(table.moment_now());
                            told.insert(upstream, (bulletin.rung, ends));
                        }
                    }
                    None => self.status.ignore("garbage where an upstream should be"),
                }
            }
            cursor = page.next;
            if cursor == 0 {
                break;
            }
        }
        let number = first.map_or(0, |(_, number)| number);
        self.newest = self.newest.max(number);
        self.missing.clear();
        self.missing_since = None;
        self.forget_gone(table, before, &told, number);
        self.tell_all(table, &told);
        Ok(())
    }

    /// Forgets what the fleet has forgotten: what was heard of before, and was not
    /// there any more.
    fn forget_gone(
        &mut self,
        table: &Cooldowns,
        before: Vec<(Upstream, u64)>,
        told: &Told,
        number: u64,
    ) {
        for (upstream, heard) in before {
            if heard <= number && !told.contains_key(&upstream) {
                let outstanding = self.lines.contains_key(&upstream);
                table.hear(&upstream, |state, now| {
                    table.link().gone(&upstream, state, heard, outstanding, now)
                });
            }
        }
    }

    /// Tells the fleet of cooldowns that end later here, and of higher rungs.
    fn tell_all(&mut self, table: &Cooldowns, told: &Told) {
        let now = table.moment_now();
        for (upstream, state) in table.known(now) {
            let is_news = match told.get(&upstream) {
                None => state.is_cooling(now) || state.cause.rung > 0,
                Some(&(rung, ends)) => {
                    let ends_later = state.is_cooling(now) && state.ends > ends.after(LATER);
                    ends_later || state.cause.rung > rung
                }
            };
            if is_news {
                table.tell_known(&upstream, state.record());
            }
        }
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
        if self.missing_due().is_some_and(|due| now >= due) {
            self.read_all(table).await?;
        }
        Ok(())
    }

    /// Returns when all is to be read again, as numbers are missing.
    fn missing_due(&self) -> Option<Instant> {
        let grace = if self.missing.len() > MISSING { Duration::ZERO } else { GRACE };
        self.missing_since.map(|since| ambient::later(since, grace))
    }

    fn set_timer(&mut self) {
        let lapse = self.given.front().map(|(until, _)| *until);
        let due = [lapse, self.missing_due()].into_iter().flatten().min();
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
