use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use tokio::time::Instant;

use super::queue::{LATE, Queue, Slot, Standing, Wakers};
use super::window::Window;
use crate::ambient;
use crate::cooldown::Role;

/// Counts how often somebody was told.
#[derive(Default)]
struct Told(AtomicUsize);

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A queue in which everybody's time is up in an hour.
struct World {
    queue: Queue,
    start: Instant,
    told: Vec<Arc<Told>>,
}

impl World {
    /// A line of that many, all of whom have come, in order.
    fn of(waiters: u64) -> Self {
        let told = (0..=waiters).map(|_| Arc::default()).collect();
        let mut world = Self { queue: Queue::new(), start: ambient::now(), told };
        for ticket in 1..=waiters {
            assert_eq!(world.queue.join(), ticket);
            world.come(ticket, 0);
        }
        world
    }

    fn at(&self, seconds: u64) -> Instant {
        ambient::later(self.start, Duration::from_secs(seconds))
    }

    fn slot(&self, ticket: u64) -> Slot {
        let told = &self.told[usize::try_from(ticket).unwrap()];
        Slot::new(Waker::from(Arc::clone(told)), self.at(3600))
    }

    fn come(&mut self, ticket: u64, seconds: u64) -> Standing {
        let (slot, now) = (self.slot(ticket), self.at(seconds));
        self.change(|queue, wakers| queue.come(ticket, slot, now, wakers))
    }

    fn step_aside(&mut self, ticket: u64, seconds: u64) {
        let (slot, now) = (self.slot(ticket), self.at(seconds));
        self.change(|queue, wakers| queue.step_aside(ticket, slot, now, wakers));
    }

    fn leave(&mut self, ticket: u64, seconds: u64) {
        let now = self.at(seconds);
        self.change(|queue, wakers| queue.leave(ticket, now, wakers));
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut Queue, &mut Wakers) -> T) -> T {
        let mut wakers = Wakers::default();
        let result = change(&mut self.queue, &mut wakers);
        wakers.wake();
        result
    }

    /// Returns how often each was told, from the first ticket on.
    fn told(&self) -> Vec<usize> {
        self.told.iter().skip(1).map(|told| told.0.load(Ordering::Relaxed)).collect()
    }
}

#[test]
fn the_lowest_ticket_in_line_is_the_first() {
    let mut world = World::of(2);

    assert!(world.come(1, 0).is_first);
    assert!(!world.come(2, 0).is_first);
    world.leave(1, 0);
    assert_eq!(world.told(), [0, 1], "the next is told");
    assert!(world.come(2, 0).is_first);
    world.leave(2, 0);
    assert!(world.queue.is_over());
}

#[test]
fn who_has_not_come_yet_keeps_nobody_waiting() {
    let mut world = World::of(0);
    world.told = (0..=2).map(|_| Arc::default()).collect();
    assert_eq!((world.queue.join(), world.queue.join()), (1, 2));

    assert!(world.come(2, 0).is_first);
    assert!(world.come(1, 0).is_first);
    assert!(!world.come(2, 0).is_first);
}

#[test]
fn who_steps_aside_keeps_its_ticket() {
    let mut world = World::of(3);

    world.step_aside(1, 0);
    assert_eq!(world.told(), [0, 1, 0]);
    assert!(world.come(2, 0).is_first);
    assert!(world.come(1, 0).is_first);
    assert!(!world.come(2, 0).is_first);
}

#[test]
fn telling_wakes_the_first_alone_and_once() {
    let mut world = World::of(2);
    let now = world.start;

    for _ in 0..3 {
        world.change(|queue, wakers| queue.tell(now, wakers));
    }
    assert_eq!(world.told(), [1, 0]);
    world.come(1, 0);
    world.change(|queue, wakers| queue.tell(now, wakers));
    assert_eq!(world.told(), [2, 0]);
}

#[test]
fn where_all_stand_aside_the_first_of_them_is_told() {
    let mut world = World::of(2);
    world.step_aside(1, 0);
    world.step_aside(2, 0);
    let (now, before) = (world.start, world.told());

    world.change(|queue, wakers| queue.tell(now, wakers));

    assert_eq!((before, world.told()), (vec![0, 1], vec![1, 1]));
}

#[test]
fn a_cooldown_is_told_once_to_those_whose_time_is_up_before_its_end() {
    let mut world = World::of(3);
    let (early, late) = (world.at(3600), world.at(3601));

    world.change(|queue, wakers| queue.cooling(early, wakers));
    assert_eq!(world.told(), [0, 0, 0]);
    for _ in 0..2 {
        world.change(|queue, wakers| queue.cooling(late, wakers));
    }
    assert_eq!(world.told(), [1, 1, 1]);
    assert!(world.come(2, 0).is_doomed);
}

#[test]
fn whose_time_is_up_as_the_cooldown_ends_is_not_doomed() {
    let mut world = World::of(2);
    let end = world.at(3600);

    world.change(|queue, wakers| queue.cooling(end, wakers));

    assert!(!world.come(2, 0).is_doomed);
}

#[test]
fn another_cooldown_with_the_same_end_is_told_as_well() {
    let mut world = World::of(2);
    let late = world.at(3601);
    world.change(|queue, wakers| queue.cooling(late, wakers));
    world.queue.not_cooling();
    assert!(!world.come(2, 0).is_doomed);

    world.change(|queue, wakers| queue.cooling(late, wakers));

    assert_eq!(world.told(), [1, 2]);
}

#[test]
fn a_first_that_is_a_second_late_is_passed_over() {
    let mut world = World::of(3);
    let at = world.at(60);
    world.queue.expect(1, at);

    assert_eq!(world.come(2, 0).look_at, world.at(61));
    world.come(2, 60);
    assert_eq!(world.told(), [0, 0, 0]);
    world.come(2, 61);
    assert_eq!(world.told(), [0, 1, 1], "the next is told, and all are called");
    assert!(world.come(2, 61).is_first);
    assert!(world.come(1, 61).is_first, "it comes after all");
}

#[test]
fn those_who_do_not_come_when_all_are_called_follow_together() {
    let mut world = World::of(50);
    let at = world.at(60);
    world.queue.expect(1, at);

    world.come(50, 61);
    assert_eq!(world.come(50, 61).look_at, world.at(62));
    world.come(50, 62);

    assert!(world.come(50, 62).is_first);
}

#[test]
fn those_in_front_look_every_second_and_those_far_behind_seldom() {
    let mut world = World::of(1000);
    let at = world.at(60);
    world.queue.expect(1, at);

    for (ticket, late) in [(2, 1), (256, 1), (257, 2), (1000, 4)] {
        assert_eq!(world.come(ticket, 0).look_at, world.at(60 + late), "{ticket}");
    }
}

#[test]
fn when_all_are_called_those_far_behind_look_at_once_as_well() {
    let mut world = World::of(1000);
    let at = world.at(60);
    world.queue.expect(1, at);

    world.come(2, 61);

    assert_eq!(world.told()[999], 1, "the last is called too");
    assert_eq!(world.come(1000, 61).look_at, world.at(62));
}

#[test]
fn the_first_alone_is_let_go_and_only_where_there_is_room() {
    let mut world = World::of(2);
    let lapses = world.at(30);

    assert!(world.queue.let_go(2, lapses).is_none());
    assert!(world.queue.let_go(1, lapses).is_some());
    world.leave(1, 0);
    assert!(world.queue.let_go(2, lapses).is_none(), "one may be out, and is");
}

#[test]
fn one_that_arrives_is_let_in_where_nobody_waits_and_there_is_room() {
    let mut world = World::of(1);
    let lapses = world.at(30);

    assert!(world.queue.let_in(lapses).is_none(), "somebody waits");
    world.leave(1, 0);
    assert!(world.queue.let_in(lapses).is_some());
    assert!(world.queue.let_in(lapses).is_none(), "one may be out, and is");
}

#[test]
fn a_line_is_over_when_nobody_has_a_ticket_and_no_call_is_out() {
    let mut world = World::of(1);
    let lapses = world.at(30);
    assert!(!world.queue.is_over());

    let held = world.queue.let_go(1, lapses).unwrap();
    world.leave(1, 0);
    assert!(!world.queue.is_over(), "a call is out");
    world.queue.window.retire(held);

    assert!(world.queue.is_over());
}

#[test]
fn a_line_is_idle_when_nobody_has_a_ticket_and_it_has_outgrown_a_reopening_upstream() {
    let mut world = World::of(1);
    world.queue.window.learn(1, 5);
    assert!(!world.queue.is_idle(4), "somebody waits");

    world.leave(1, 0);

    assert!(world.queue.is_idle(4));
    assert!(!world.queue.is_idle(5));
}

#[test]
fn a_window_grows_by_one_with_each_success() {
    let (start, mut window) = (ambient::now(), Window::new());
    let lapses = ambient::later(start, LATE);

    let first = window.take(lapses);
    assert_eq!(window.full_until(), Some(lapses));
    assert!(!window.retire(first));
    assert_eq!(window.full_until(), None, "its place is free");
    window.succeeded(first);
    window.take(lapses);
    assert_eq!(window.full_until(), None);
    window.take(lapses);
    assert_eq!(window.full_until(), Some(lapses));
}

#[test]
fn a_place_lapses_and_its_success_counts_all_the_same() {
    let (start, mut window) = (ambient::now(), Window::new());
    let lapses = ambient::later(start, LATE);
    let [mut first, mut second] = [window.take(lapses), window.take(ambient::later(lapses, LATE))];
    window.admitted(&mut first, (7, Role::Place));
    window.admitted(&mut second, (7, Role::Place));

    assert_eq!(window.lapse(start), []);
    assert_eq!(window.lapse(lapses), [(7, Role::Place)]);
    assert!(window.retire(first), "it had lapsed");
    assert!(!window.retire(second));
    window.succeeded(first);
    window.take(lapses);
    assert_eq!(window.full_until(), None, "two may be out");
}

#[test]
fn a_place_that_lapses_before_its_right_is_noted_leaves_that_right_to_the_call() {
    let (start, mut window) = (ambient::now(), Window::new());
    let mut held = window.take(start);

    assert_eq!(window.lapse(start), [], "nobody gives back what is not known yet");
    window.admitted(&mut held, (7, Role::Place));

    assert!(!window.retire(held), "so the call does it");
}

#[test]
fn calls_from_before_a_refusal_mean_nothing_after_it() {
    let (start, mut window) = (ambient::now(), Window::new());
    let lapses = ambient::later(start, LATE);
    window.learn(3, 5);
    let held = window.take(lapses);

    window.learn(4, 0);
    assert!(window.is_empty());
    assert!(!window.retire(held), "the table knows it to be stale");
    window.succeeded(held);
    window.learn(3, 9);
    window.take(lapses);

    assert_eq!(window.full_until(), Some(lapses), "one, and no more");
}

#[test]
fn behind_a_probe_that_was_alone_the_last_time_one_goes_ahead_until_one_gets_through() {
    let (start, mut window) = (ambient::now(), Window::new());
    let lapses = ambient::later(start, LATE);
    // How many may be out when that many have succeeded since the refusal.
    let mut room = |generation, succeeded: u32| {
        window.learn(generation, 0);
        for _ in 0..succeeded {
            let held = window.take(lapses);
            window.retire(held);
            window.succeeded(held);
        }
        let mut out = Vec::new();
        while window.full_until().is_none() {
            out.push(window.take(lapses));
        }
        let room = out.len();
        for held in out {
            assert!(!window.retire(held));
        }
        room
    };

    assert_eq!(room(1, 1), 2, "nothing is known of it");
    assert_eq!(room(2, 1), 1, "the last time the probe was alone");
    assert_eq!(room(3, 0), 1);
    assert_eq!(room(4, 1), 1, "a probe in vain has told nothing new");
    assert_eq!(room(5, 2), 3, "one got through");
    assert_eq!(room(6, 1), 2);
}

#[test]
fn one_that_goes_ahead_and_hangs_holds_the_line_for_its_lease_and_no_longer() {
    let (start, mut window) = (ambient::now(), Window::new());
    let lapses = ambient::later(start, LATE);
    for generation in [1, 2] {
        window.learn(generation, 0);
        let probe = window.take(lapses);
        window.retire(probe);
        window.succeeded(probe);
    }

    window.take(lapses);
    assert_eq!(window.full_until(), Some(lapses), "one has gone ahead");
    window.lapse(lapses);
    window.take(lapses);

    assert_eq!(window.full_until(), None, "two may be out");
}

#[test]
fn what_the_table_says_again_changes_nothing() {
    let (start, mut window) = (ambient::now(), Window::new());
    let lapses = ambient::later(start, LATE);
    window.learn(3, 2);
    window.take(lapses);

    window.learn(3, 2);

    assert!(!window.is_empty(), "the call that is out still counts");
    window.take(lapses);
    assert_eq!(window.full_until(), Some(lapses), "of two");
}

#[test]
fn a_window_is_wider_than_all_that_it_has_outgrown() {
    let mut window = Window::new();
    assert!(window.is_empty());
    window.learn(1, 4);

    assert!(window.is_wider_than(3));
    assert!(!window.is_wider_than(4));
    assert!(!window.is_wider_than(5));
}
