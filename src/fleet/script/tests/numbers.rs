//! Numbers, generations, what is published, and when all is forgotten.

use super::stage::{CHANNEL, ENTRY, EPOCH, INDEX, NAME, REFUSED, Stage};
use super::{POLICY, SECOND};

#[test]
fn an_upstream_without_an_entry_is_none_and_leaves_nothing_behind() {
    let Some(mut stage) = Stage::new() else { return };

    let answer = stage.on(&["asked", "succeeded 0 0 free 0", "neutral 0 0 free 0", "kept"]);

    assert_eq!(answer.effects, ["admit free", "nothing", "nothing", "nothing"]);
    let shown = "epoch number phase gate ends began rung status hint by_hand generation probe \
                 width in_flight holder mine by name";
    let expected = format!("epoch-1 0 none 0 0 0 0 - - 0 0 0 0 0 - 0 - {NAME}");
    assert_eq!(answer.line.words(shown), expected);
    let keys: Vec<String> = stage.command(&["KEYS", "*"]);
    assert_eq!(keys, [EPOCH]);
}

#[test]
fn a_refusal_is_written_published_and_answered_by_the_same_line() {
    let Some(mut stage) = Stage::new() else { return };
    let mut answer = None;

    let published = stage.published(|stage| {
        answer = Some(stage.on(&["refused 0 0 free 0 503 90000000 0.5"]));
    });

    let answer = answer.unwrap();
    let now = answer.line.number("now");
    assert_eq!(answer.effects, ["outdate"]);
    assert_eq!(answer.line.words("phase rung status hint by"), "cooling 1 503 90000000 refused");
    assert_eq!(answer.line.number("gate"), now + 135 * SECOND);
    assert_eq!(answer.line.number("began"), now);
    assert_eq!(answer.line.words("number generation mine holder"), "1 1 0 -");
    assert_eq!(published, [answer.line]);
    for (field, value) in [("v", "1"), ("phase", "cooling"), ("rung", "1"), ("stretch", "0.5")] {
        assert_eq!(stage.field(field).as_deref(), Some(value), "{field}");
    }
    assert_eq!(stage.kept("at"), now);
}

#[test]
fn a_burst_over_processes_is_one_rung_and_one_message() {
    let Some(mut stage) = Stage::new() else { return };

    let published = stage.published(|stage| {
        for process in ["a", "b", "c", "d"] {
            stage.by(process, &[REFUSED, REFUSED]);
        }
    });

    assert_eq!(published.len(), 1);
    assert_eq!(stage.field("rung").as_deref(), Some("1"));
    assert_eq!(stage.field("generation").as_deref(), Some("1"));
}

#[test]
fn a_later_hint_of_a_stale_refusal_is_a_change_that_outdates_nobody() {
    let Some(mut stage) = Stage::new() else { return };
    stage.on(&[REFUSED]);

    let published = stage.published(|stage| {
        stage.by("b", &["refused 0 0 free 0 429 61000000 0"]);
        stage.by("c", &["refused 0 0 free 0 429 30000000 0"]);
    });

    assert_eq!(published.len(), 1);
    assert_eq!(published[0].words("number generation rung hint"), "2 1 1 61000000");
}

#[test]
fn a_call_is_stale_by_what_it_saw_or_by_its_own_word() {
    let Some(mut stage) = Stage::new() else { return };
    stage.on(&[REFUSED]);
    stage.run_out();
    stage.on(&["asked"]);

    let old = ["succeeded 0 0 free 0", "succeeded 1 1 free 0", "refused 1 1 free 0 429 - 0"];
    assert_eq!(stage.on(&old).line.word("phase"), "probing");
    assert_eq!(stage.on(&["succeeded 1 0 free 0"]).line.word("phase"), "reopening");
}

#[test]
fn one_counter_numbers_the_changes_of_all_upstreams() {
    let Some(mut stage) = Stage::new() else { return };
    stage.on(&[REFUSED]);

    let words = ["1", "news", "named:b c\nd", "me", "epoch-2", &format!("{REFUSED} {POLICY}")]
        .map(str::to_owned);
    let other: Vec<String> = stage.apply(&["{ns}:u:b", INDEX, EPOCH], &words).unwrap();

    assert!(other[0].starts_with("1 epoch-1 2 "), "{}", other[0]);
    assert!(other[0].ends_with(" refused me named:b c\nd"), "{}", other[0]);
    assert_eq!(stage.on(&["cleared"]).line.words("number phase by"), "3 clear cleared");
    assert_eq!(stage.on(&["cleared"]).line.words("number phase by"), "3 none -");
}

#[test]
fn places_and_what_changes_nothing_draw_no_number() {
    let Some(mut stage) = Stage::new() else { return };
    let generation = stage.reopen("me");
    let number = stage.kept("number");

    let published = stage.published(|stage| {
        let place = format!("neutral {generation} 0 place 0");
        stage.on(&["asked", "kept", &place, "asked", "succeeded 0 0 free 0"]);
    });

    assert_eq!(published, []);
    assert_eq!(stage.kept("number"), number);
}

#[test]
fn several_changes_in_one_call_are_one_message_of_the_last() {
    let Some(mut stage) = Stage::new() else { return };

    let published = stage.published(|stage| {
        let answer = stage.on(&[REFUSED, "cooled 90000000", "cleared"]);
        assert_eq!(answer.effects, ["outdate", "outdate", "nothing"]);
    });

    assert_eq!(published.len(), 1);
    assert_eq!(published[0].words("phase number by gate"), "clear 1 cleared 0");
}

#[test]
fn the_whole_course_of_an_episode_is_told_step_by_step() {
    let Some(mut stage) = Stage::new() else { return };

    let published = stage.published(|stage| {
        stage.on(&[REFUSED]);
        stage.run_out();
        assert_eq!(stage.by("b", &["asked"]).effects, ["admit probe 1"]);
        assert_eq!(stage.by("c", &["asked"]).effects, ["reject probing"]);
        stage.by("b", &["neutral 1 0 probe 1"]);
        stage.run_out();
        stage.by("c", &["asked"]);
        stage.by("c", &["dropped 1 0 probe 2"]);
        stage.by("d", &["asked"]);
        stage.by("d", &["exhausted 1 0 probe 3 5000000 0"]);
        stage.run_out();
        stage.by("b", &["asked"]);
        let generation = stage.kept("generation");
        stage.by("b", &[&format!("succeeded {generation} 0 probe 4")]);
        stage.by("b", &["restored 9000000 3 429 - 0", "cleared"]);
    });

    let told: Vec<_> = published.iter().map(|line| line.words("number phase by holder")).collect();
    assert_eq!(
        told,
        [
            "1 cooling refused -",
            "2 probing probe b",
            "3 cooling neutral b",
            "4 probing probe c",
            "5 cooling dropped c",
            "6 probing probe d",
            "7 cooling exhausted d",
            "8 probing probe b",
            "9 reopening succeeded b",
            "10 clear cleared -",
        ]
    );
}

#[test]
fn a_lease_that_runs_out_goes_to_the_next_and_all_hear_of_it() {
    let Some(mut stage) = Stage::new() else { return };
    stage.on(&[REFUSED]);
    stage.run_out();
    stage.by("a", &["asked"]);
    stage.run_out();

    let published = stage.published(|stage| {
        assert_eq!(stage.by("b", &["asked"]).effects, ["admit probe 2"]);
    });

    assert_eq!(published.len(), 1);
    assert_eq!(published[0].words("phase holder probe by"), "probing b 2 probe");
}

#[test]
fn an_exhausted_quota_that_no_wait_follows_is_told_as_a_success() {
    let Some(mut stage) = Stage::new() else { return };
    stage.on(&[REFUSED]);
    stage.run_out();
    stage.on(&["asked"]);

    let answer = stage.on(&["exhausted 1 0 probe 1 0 0"]);

    assert_eq!(answer.line.words("phase by"), "reopening succeeded");
}

#[test]
fn an_entry_expires_with_its_episode_and_stands_in_the_index_until_then() {
    let Some(mut stage) = Stage::new() else { return };

    for policy in [POLICY, "60000000 1800000000 3600000000 0 30000000 64 1"] {
        let line = stage.by_policy("me", policy, &[REFUSED]).line;
        let forget: u64 = policy.rsplit(' ').next().unwrap().parse().unwrap();
        let forgotten = (line.number("ends") + forget).div_ceil(1000);

        assert_eq!(stage.command::<u64>(&["PEXPIRETIME", ENTRY]), forgotten);
        assert_eq!(stage.command::<u64>(&["ZSCORE", INDEX, NAME]), forgotten);
        stage.on(&["cleared"]);
        assert_eq!(stage.command::<Vec<String>>(&["KEYS", "*"]), [EPOCH]);
    }
}

#[test]
fn an_episode_that_is_over_at_once_leaves_within_a_millisecond() {
    let Some(mut stage) = Stage::new() else { return };

    let none = "0 0 0 0 0 0 0";
    let line = stage.by_policy("me", none, &["restored -1 1 - - 0", "cooled 1"]).line;

    assert_eq!(line.words("phase by"), "cooling cooled");
    let floor = line.number("now") / 1000;
    let expires: Option<u64> = stage.command(&["ZSCORE", INDEX, NAME]);
    assert_eq!(expires, Some(floor + 1));
}

#[test]
fn an_episode_that_another_policy_forgets_is_told_as_forgotten() {
    let Some(mut stage) = Stage::new() else { return };
    stage.on(&[REFUSED]);
    stage.run_out();
    let short = "60000000 1800000000 3600000000 0 30000000 64 0";

    let published = stage.published(|stage| {
        let answer = stage.by_policy("me", short, &["asked"]);
        assert_eq!(answer.effects, ["admit free"]);
    });

    assert_eq!(published.len(), 1);
    assert_eq!(published[0].words("phase number by"), "clear 2 forgotten");
    assert_eq!(stage.command::<Vec<String>>(&["KEYS", "*"]), [EPOCH]);
}

#[test]
fn clearing_what_another_policy_forgets_is_told_as_forgotten() {
    let Some(mut stage) = Stage::new() else { return };
    stage.on(&[REFUSED]);
    stage.run_out();
    let short = "60000000 1800000000 3600000000 0 30000000 64 0";

    let line = stage.by_policy("me", short, &["cleared"]).line;

    assert_eq!(line.words("phase number by"), "clear 2 forgotten");
}

#[test]
fn a_new_episode_has_no_holder_of_the_old_ones_probe() {
    let Some(mut stage) = Stage::new() else { return };
    stage.on(&[REFUSED]);
    stage.run_out();
    assert_eq!(stage.by("b", &["asked"]).line.word("holder"), "b");
    let short = "60000000 1800000000 3600000000 0 30000000 64 0";

    let line = stage.by_policy("me", short, &[REFUSED]).line;

    assert_eq!(line.words("phase rung holder by"), "cooling 1 - refused");
}

#[test]
fn a_clear_upstream_has_no_holder() {
    let Some(mut stage) = Stage::new() else { return };
    stage.on(&[REFUSED]);
    stage.run_out();
    stage.by("b", &["asked"]);
    let narrow = "60000000 1800000000 3600000000 0 30000000 0 7200000000";

    let line = stage.by_policy("b", narrow, &["succeeded 1 0 probe 1"]).line;

    assert_eq!(line.words("phase holder by"), "clear - succeeded");
}

#[test]
fn a_higher_rung_alone_is_a_change() {
    let Some(mut stage) = Stage::new() else { return };
    stage.on(&[REFUSED]);

    let published = stage.published(|stage| {
        stage.on(&["restored 1000000 4 429 - 0"]);
        stage.on(&["restored 1000000 4 429 - 0"]);
    });

    assert_eq!(published.len(), 1);
    assert_eq!(published[0].words("phase rung number generation by"), "cooling 4 2 1 restored");
}

#[test]
fn after_the_last_number_of_a_probe_comes_the_first() {
    let Some(mut stage) = Stage::new() else { return };
    stage.on(&[REFUSED]);
    stage.run_out();
    stage.set("probe", u32::MAX);

    assert_eq!(stage.on(&["asked"]).effects, ["admit probe 0"]);
}

#[test]
fn names_whose_time_is_over_leave_the_index_a_few_at_a_time() {
    let Some(mut stage) = Stage::new() else { return };
    for name in 0..20 {
        let _: i64 = stage.command(&["ZADD", INDEX, "1000", &format!("named:{name}")]);
    }

    stage.on(&[REFUSED]);
    assert_eq!(stage.command::<u64>(&["ZCARD", INDEX]), 5);

    stage.on(&["asked"]);
    assert_eq!(stage.command::<Vec<String>>(&["ZRANGE", INDEX, "0", "-1"]), [NAME]);
}

#[test]
fn where_the_epoch_is_lost_a_new_one_begins_and_numbers_only_grow() {
    let Some(mut stage) = Stage::new() else { return };
    for event in [REFUSED, "cooled 90000000", "cooled 95000000"] {
        stage.on(&[event]);
    }
    let _: i64 = stage.command(&["DEL", EPOCH]);

    let quiet = stage.on(&["asked"]).line;
    let changed = stage.on(&["cooled 99000000"]).line;

    assert_eq!(quiet.words("epoch number"), "epoch-1 3");
    assert_eq!(changed.words("number generation"), "4 4");
    assert_eq!(stage.command::<u64>(&["HGET", EPOCH, "number"]), 4);
}

#[test]
fn a_call_without_events_only_asks() {
    let Some(mut stage) = Stage::new() else { return };
    stage.on(&[REFUSED]);
    let before = stage.everything();

    let answer = stage.on(&[]);

    assert_eq!(answer.line.words("phase number by"), "cooling 1 -");
    assert_eq!(answer.effects, [""; 0]);
    assert_eq!(stage.everything(), before);
}

#[test]
fn no_step_of_the_clock_makes_a_cooldown_longer() {
    let Some(mut stage) = Stage::new() else { return };
    let hour = 3600 * SECOND;
    stage.on(&[REFUSED]);
    for field in ["gate", "ends", "began", "at"] {
        let value = stage.kept(field) + hour;
        stage.set(field, value);
    }

    // What was written an hour ahead is as far away as it was then.
    let line = stage.on(&["asked"]).line;

    let now = line.number("now");
    assert_eq!(line.number("gate"), now + 60 * SECOND);
    assert_eq!(line.number("ends"), now + 60 * SECOND);
    assert_eq!(line.number("began"), now);
    assert_eq!(stage.kept("at"), now);
    assert_eq!(line.words("phase number by"), "cooling 1 -");

    // There is no time before the first.
    stage.set("at", 1_u64 << 53);
    assert_eq!(stage.on(&["asked"]).line.words("phase gate by"), "clear 0 forgotten");
}

#[test]
fn what_changes_nothing_writes_nothing() {
    let Some(mut stage) = Stage::new() else { return };
    stage.on(&[REFUSED]);
    let before = stage.everything();

    let old = "refused 0 1 free 0 429 - 0";
    let answer = stage.on(&["asked", old, "succeeded 1 0 free 0", "kept"]);

    assert_eq!(answer.effects, ["reject cooling", "nothing", "nothing", "nothing"]);
    assert_eq!(stage.everything(), before);
}

#[test]
fn what_was_told_long_before_is_not_heard() {
    let Some(mut stage) = Stage::new() else { return };
    let keys = [ENTRY, INDEX, EPOCH];
    let now = stage.on(&["asked"]).line.number("now");
    let tell = |stage: &mut Stage, version: String| {
        let event = format!("{REFUSED} {POLICY}");
        let words = [version, CHANNEL.into(), NAME.into(), "me".into(), "epoch-1".into(), event];
        stage.apply::<Vec<String>>(&keys, &words)
    };

    let late = tell(&mut stage, format!("1 {}", now - 1)).unwrap_err();
    assert!(late.to_string().contains("LATE"), "{late}");
    assert_eq!(stage.on(&["asked"]).effects, ["admit free"], "nothing has happened");

    for version in ["1 x", "1  5", "1 -5", " 1", "11 5", "2 5"] {
        let said = tell(&mut stage, version.to_owned()).unwrap_err();
        assert!(said.to_string().contains("BADARGS"), "{version}: {said}");
    }
    assert!(tell(&mut stage, format!("1 {}", now + 3600 * SECOND)).is_ok());
}

#[test]
fn who_hears_all_misses_no_number() {
    let Some(mut stage) = Stage::new() else { return };

    let published = stage.published(|stage| {
        stage.on(&[REFUSED, "cooled 90000000", "cooled 95000000"]);
        stage.on(&["cooled 96000000", "cooled 97000000"]);
        stage.on(&["asked"]);
        stage.on(&["cooled 98000000", "cleared"]);
    });

    let numbers: Vec<_> = published.iter().map(|line| line.number("number")).collect();
    assert_eq!(numbers, [1, 2, 3]);
}
