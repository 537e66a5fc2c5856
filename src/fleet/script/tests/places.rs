//! Places in a Reopening upstream: whose they are, and what becomes of those that
//! nobody gives back.

use super::SECOND;
use super::stage::{REFUSED, Stage};

/// Makes the question who uses the places exactly that old as the next call comes, and
/// those who hold one have been heard of so long ago.
///
/// It is written down as of a time to come: the script takes that for a step of the
/// clock, and keeps what lies between.
fn age(stage: &mut Stage, question: u64, holders: &[(&str, u64)]) {
    let then = stage.now() + 3600 * SECOND;
    let ahead = then - stage.kept("at");
    for field in ["began", "ends"] {
        let value = stage.kept(field) + ahead;
        stage.set(field, value);
    }
    stage.set("at", then);
    stage.set("wanted", then - question);
    stage.set("wanted_at", then - question);
    for (process, silence) in holders {
        let held = places(stage, process).unwrap();
        stage.set(&format!("p:{process}"), format!("{held} {}", then - silence));
    }
}

/// The places of a process, as they are written down.
fn places(stage: &mut Stage, process: &str) -> Option<u64> {
    let field = stage.field(&format!("p:{process}"))?;
    Some(field.split_once(' ').unwrap().0.parse().unwrap())
}

/// When a process that holds places was last heard of.
fn touched(stage: &mut Stage, process: &str) -> u64 {
    let field = stage.field(&format!("p:{process}")).unwrap();
    field.split_once(' ').unwrap().1.parse().unwrap()
}

#[test]
fn places_are_shared_by_all_and_the_ramp_is_one() {
    let Some(mut stage) = Stage::new() else { return };
    let generation = stage.reopen("a");

    assert_eq!(stage.by("a", &["asked"]).effects, ["admit place"]);
    let second = stage.by("b", &["asked"]);
    assert_eq!(second.line.words("width in_flight mine"), "2 2 1");
    assert_eq!(stage.by("c", &["asked", "asked"]).effects, ["reject reopening"; 2]);

    let answer = stage.by("a", &[&format!("succeeded {generation} 0 place 0"), "asked", "asked"]);
    assert_eq!(answer.effects, ["nothing", "admit place", "admit place"]);
    assert_eq!(answer.line.words("width in_flight mine"), "3 3 2");
    assert_eq!((places(&mut stage, "a"), places(&mut stage, "b")), (Some(2), Some(1)));
}

#[test]
fn a_place_is_given_back_once_and_by_who_holds_it() {
    let Some(mut stage) = Stage::new() else { return };
    let generation = stage.reopen("a");
    stage.by("a", &["asked"]);
    let back = format!("dropped {generation} 0 place 0");

    assert_eq!(stage.by("b", &[&back]).line.words("in_flight mine"), "1 0");
    assert_eq!(stage.by("a", &[&back]).line.words("in_flight mine"), "0 0");
    assert_eq!(stage.by("a", &[&back, &back]).line.words("in_flight mine"), "0 0");
    assert_eq!(places(&mut stage, "a"), None);
}

#[test]
fn a_late_success_widens_the_way_all_the_same() {
    let Some(mut stage) = Stage::new() else { return };
    let generation = stage.reopen("a");
    stage.by("a", &["asked"]);

    let answer = stage.by("b", &[&format!("succeeded {generation} 0 place 0")]);

    assert_eq!(answer.line.words("width in_flight"), "3 1");
}

#[test]
fn whoever_leaves_reopening_takes_all_places_along() {
    let Some(mut stage) = Stage::new() else { return };
    let generation = stage.reopen("a");
    stage.by("a", &["asked"]);
    stage.by("b", &["asked"]);

    stage.by("b", &[&format!("refused {generation} 0 place 0 429 - 0")]);

    assert_eq!((places(&mut stage, "a"), places(&mut stage, "b")), (None, None));
    assert_eq!(stage.field("in_flight").as_deref(), Some("0"));
    // And one that comes back later has none.
    stage.run_out();
    let asked = stage.by("c", &["asked"]).line;
    let now_on = asked.number("generation");
    stage.by("c", &[&format!("succeeded {now_on} 0 probe {}", asked.word("probe"))]);
    let answer = stage.by("a", &["asked", &format!("dropped {generation} 0 place 0")]);
    assert_eq!(answer.line.words("in_flight mine"), "1 1");
}

#[test]
fn each_event_of_a_process_shows_that_it_is_there() {
    let Some(mut stage) = Stage::new() else { return };
    stage.reopen("a");
    stage.by("a", &["asked"]);

    for event in ["kept", "asked", "neutral 0 0 free 0"] {
        let before = touched(&mut stage, "a");
        let now = stage.by("a", &[event]).line.number("now");
        assert!(now > before);
        assert_eq!(touched(&mut stage, "a"), now, "{event}");
    }
    let before = touched(&mut stage, "a");
    stage.by("b", &["asked", "kept"]);
    assert_eq!(touched(&mut stage, "a"), before);
    assert_eq!(places(&mut stage, "b"), None);
}

#[test]
fn who_finds_no_place_has_all_asked_whether_theirs_are_used() {
    let Some(mut stage) = Stage::new() else { return };
    stage.reopen("a");
    stage.by("a", &["asked", "asked"]);
    let number = stage.kept("number");

    let published = stage.published(|stage| {
        let answer = stage.by("b", &["asked", "asked", "asked"]);
        assert_eq!(answer.effects, ["reject reopening"; 3]);
        assert_eq!(answer.line.word("phase"), "reopening");
    });

    assert_eq!(published.len(), 1);
    assert_eq!(published[0].words("phase by mine in_flight width"), "wanted - 0 2 2");
    assert_eq!(published[0].number("number"), number);
    assert_eq!(stage.kept("wanted"), published[0].number("now"));
    assert_eq!(stage.kept("wanted_at"), published[0].number("now"));
}

#[test]
fn a_question_that_is_out_is_not_asked_again() {
    let Some(mut stage) = Stage::new() else { return };
    stage.reopen("a");
    stage.by("a", &["asked", "asked"]);
    age(&mut stage, SECOND / 2, &[]);

    let published = stage.published(|stage| {
        assert_eq!(stage.by("b", &["asked"]).effects, ["reject reopening"]);
    });

    assert_eq!(published, []);
}

#[test]
fn places_of_the_silent_are_taken_back_after_a_second() {
    let Some(mut stage) = Stage::new() else { return };
    stage.reopen("dead");
    stage.by("dead", &["asked"]);
    stage.by("alive", &["asked"]);

    // Before the second is over nobody is given up.
    let silence = [("dead", 2 * SECOND), ("alive", 1)];
    age(&mut stage, SECOND - 1, &silence);
    assert_eq!(stage.by("b", &["asked"]).effects, ["reject reopening"]);
    assert_eq!(places(&mut stage, "dead"), Some(1));
    age(&mut stage, SECOND, &silence);

    let answer = stage.by("b", &["asked", "asked"]);

    assert_eq!(answer.effects, ["admit place", "reject reopening"]);
    assert_eq!(answer.line.words("in_flight mine"), "2 1");
    assert_eq!((places(&mut stage, "dead"), places(&mut stage, "alive")), (None, Some(1)));
}

#[test]
fn whoever_answered_at_the_very_moment_keeps_its_places() {
    let Some(mut stage) = Stage::new() else { return };
    stage.reopen("a");
    stage.by("a", &["asked", "asked"]);
    age(&mut stage, SECOND, &[("a", SECOND)]);

    assert_eq!(stage.by("b", &["asked"]).effects, ["reject reopening"]);
    assert_eq!(places(&mut stage, "a"), Some(2));
}

#[test]
fn where_all_places_are_used_they_are_asked_for_again_each_second() {
    let Some(mut stage) = Stage::new() else { return };
    stage.reopen("a");
    stage.by("a", &["asked", "asked"]);
    age(&mut stage, 2 * SECOND, &[("a", SECOND)]);

    let published = stage.published(|stage| {
        assert_eq!(stage.by("b", &["asked"]).effects, ["reject reopening"]);
    });

    assert_eq!(published.len(), 1);
    assert_eq!(published[0].words("phase in_flight"), "wanted 2");
    assert_eq!(stage.kept("wanted"), published[0].number("now"));
}

#[test]
fn a_place_that_is_found_ends_the_search_and_the_next_question_waits() {
    let Some(mut stage) = Stage::new() else { return };
    let generation = stage.reopen("a");
    stage.by("a", &["asked", "asked"]);
    stage.by("b", &["asked"]);
    stage.by("a", &[&format!("neutral {generation} 0 place 0")]);
    assert_ne!(stage.kept("wanted"), 0);
    stage.by("b", &["asked"]);
    assert_eq!(stage.kept("wanted"), 0);

    // Within 100 ms of the last one there is no question, and then there is.
    for (age_of_it, questions) in [(99_999, 0), (100_000, 1)] {
        age(&mut stage, age_of_it, &[]);
        stage.set("wanted", 0);
        let asked = stage.published(|stage| {
            stage.by("c", &["asked"]);
        });
        assert_eq!(asked.len(), questions, "after {age_of_it} µs");
        assert_eq!(stage.kept("wanted") != 0, questions != 0);
    }
}

#[test]
fn a_question_does_not_outlive_the_reopening() {
    let Some(mut stage) = Stage::new() else { return };
    let generation = stage.reopen("a");
    stage.by("a", &["asked", "asked"]);

    let published = stage.published(|stage| {
        stage.by("b", &["asked", &format!("refused {generation} 0 free 0 429 - 0")]);
    });

    assert_eq!(published.len(), 1);
    assert_eq!(published[0].words("phase by"), "cooling refused");
    assert_eq!(stage.kept("wanted"), 0);
}

#[test]
fn nobody_is_asked_where_a_place_is_found_in_the_same_breath() {
    let Some(mut stage) = Stage::new() else { return };
    let generation = stage.reopen("a");
    stage.by("a", &["asked", "asked"]);

    let published = stage.published(|stage| {
        let answer = stage.by("a", &["asked", &format!("neutral {generation} 0 place 0"), "asked"]);
        assert_eq!(answer.effects, ["reject reopening", "nothing", "admit place"]);
    });

    assert_eq!(published, []);
    assert_eq!(stage.kept("wanted"), 0);
}

#[test]
fn a_clock_that_goes_back_makes_nobody_silent() {
    let Some(mut stage) = Stage::new() else { return };
    stage.reopen("a");
    stage.by("a", &["asked", "asked"]);

    age(&mut stage, 2, &[("a", 1)]);
    let now = stage.by("c", &["asked"]).line.number("now");

    assert_eq!(stage.kept("wanted"), now - 2);
    assert_eq!(stage.kept("wanted_at"), now - 2);
    assert_eq!(touched(&mut stage, "a"), now - 1);
    age(&mut stage, 2 * SECOND, &[("a", SECOND)]);
    assert_eq!(stage.by("c", &["asked"]).effects, ["reject reopening"]);
    assert_eq!(places(&mut stage, "a"), Some(2));
}

#[test]
fn a_place_that_is_nobodys_is_free() {
    let Some(mut stage) = Stage::new() else { return };
    stage.reopen("a");
    stage.set("in_flight", 2);

    assert_eq!(stage.by("b", &["asked"]).line.words("in_flight mine"), "1 1");
}

#[test]
fn many_processes_hold_places_at_once() {
    let Some(mut stage) = Stage::new() else { return };
    stage.reopen("a");
    stage.set("width", 6000);
    for first in (0..6000).step_by(500) {
        let mut words = vec!["HSET".to_owned(), super::stage::ENTRY.to_owned()];
        let now = stage.now();
        for process in first..first + 500 {
            words.extend([format!("p:process-{process}"), format!("1 {now}")]);
        }
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let _: i64 = stage.command(&words);
    }

    assert_eq!(stage.by("b", &["asked"]).line.words("width in_flight"), "6000 6000");
    assert_eq!(stage.by("b", &[REFUSED, "cleared"]).line.word("phase"), "clear");
}
