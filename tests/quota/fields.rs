//! What counts as used up, and how long it stays so, in all forms.

use super::*;

fn field(value: &str) -> Option<Duration> {
    read(Dialect::EpochSeconds, &[("ratelimit", value)])
}

fn reset(dialect: Dialect, value: &str) -> Option<Duration> {
    read(dialect, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", value)])
}

fn remaining(value: &str) -> Option<Duration> {
    read(Dialect::Any, &[("x-ratelimit-remaining", value), ("x-ratelimit-reset", "9")])
}

#[test]
fn only_zero_is_nothing() {
    for value in ["0", "00", "0.0", ".0", " 0 ", "+0", "0;w=60", "\"0\"", "0, 0"] {
        assert_eq!(remaining(value), Some(secs(9)), "{value}");
    }
    for value in
        ["1", "0.1", "-1", "-0", "", "none", "0x0", "0e1", "0 1", "0, 1", "1, 0", "0,", "\u{ff10}"]
    {
        assert_eq!(remaining(value), None, "{value}");
    }
}

#[test]
fn gateways_that_contradict_each_other_leave_something() {
    let lines = |values: [&'static str; 2]| {
        let [one, other] = values.map(|value| ("x-ratelimit-remaining", value));
        read(Dialect::Any, &[one, other, ("x-ratelimit-reset", "9"), ("x-ratelimit-reset", "30")])
    };
    assert_eq!(lines(["0", "0"]), Some(secs(30)));
    assert_eq!(lines(["0", "5"]), None);
    assert_eq!(lines(["5", "0"]), None);
}

#[test]
fn a_number_means_what_the_dialect_says() {
    for (dialect, value, wait) in [
        (Dialect::EpochSeconds, "1781524801.5", millis(1500)),
        (Dialect::EpochSeconds, "30", Duration::ZERO),
        (Dialect::EpochMilliseconds, "1781524801500", millis(1500)),
        (Dialect::EpochMilliseconds, "1781524801", Duration::ZERO),
        (Dialect::DeltaSeconds, "1.5", millis(1500)),
        (Dialect::DeltaSeconds, "1781524801", secs(1_781_524_801)),
        (Dialect::DeltaMilliseconds, "1500", millis(1500)),
        (Dialect::Any, "1781524801.5", millis(1500)),
        (Dialect::Any, "1781524801500", millis(1500)),
        (Dialect::Any, "1.5", millis(1500)),
        (Dialect::Any, "1781524799", Duration::ZERO),
        (Dialect::DeltaSeconds, "99999999999999999999999999", Duration::MAX),
        (Dialect::EpochSeconds, "99999999999999999999999999", Duration::MAX),
    ] {
        assert_eq!(reset(dialect, value), Some(wait), "{dialect:?} {value}");
    }
}

#[test]
fn without_a_dialect_a_number_that_is_neither_moment_nor_small_is_no_wait() {
    assert_eq!(reset(Dialect::Any, "31622400"), Some(secs(31_622_400)));
    for value in ["31622401", "1881524800", "178152480", "9999999999", "99999999999999999999"] {
        assert_eq!(reset(Dialect::Any, value), None, "{value}");
    }
}

#[test]
fn what_says_its_unit_is_read_alike_in_every_dialect() {
    for dialect in [
        Dialect::Any,
        Dialect::EpochSeconds,
        Dialect::EpochMilliseconds,
        Dialect::DeltaSeconds,
        Dialect::DeltaMilliseconds,
    ] {
        for value in [
            "1m30s",
            "PT1M30S",
            "90 seconds",
            "2026-06-15T12:01:30Z",
            "Mon, 15 Jun 2026 12:01:30 GMT",
            "Mon Jun 15 2026 14:01:30 GMT+0200 (CEST)",
            "@1781524890",
        ] {
            assert_eq!(reset(dialect, value), Some(secs(90)), "{dialect:?} {value}");
        }
    }
}

#[test]
fn a_reset_that_cannot_be_read_is_no_wait() {
    for value in ["", "soon", "-5", "1e3", "2026-06-15", "later, soon"] {
        assert_eq!(reset(Dialect::Any, value), None, "{value}");
    }
    assert_eq!(read(Dialect::Any, &[("x-ratelimit-remaining", "0")]), None);
    assert_eq!(read(Dialect::Any, &[("x-ratelimit-reset", "9")]), None);
}

#[test]
fn a_remaining_goes_with_its_own_reset_alone() {
    for (remaining, reset) in [
        ("x-ratelimit-remaining", "x-rate-limit-reset"),
        ("x-ratelimit-remaining", "ratelimit-reset"),
        ("x-ratelimit-remaining-tokens", "x-ratelimit-reset"),
        ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-requests"),
        ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-requests-reset"),
        ("x-ratelimit-requests-remaining", "x-ratelimit-requests-reset"),
        ("x-beta-ratelimit-remaining", "x-beta-ratelimit-reset"),
        ("x-ratelimit-remainings", "x-ratelimit-resets"),
        ("my-x-ratelimit-remaining", "my-x-ratelimit-reset"),
        ("anthropic-ratelimit-xremaining", "anthropic-ratelimit-xreset"),
    ] {
        assert_eq!(read(Dialect::Any, &[(remaining, "0"), (reset, "9")]), None, "{remaining}");
    }
    let by_the_day = ("x-ratelimit-remaining-requests-day", "x-ratelimit-reset-requests-day");
    let lines = [(by_the_day.0, "0"), (by_the_day.1, "9")];
    assert_eq!(read(Dialect::Any, &lines), Some(secs(9)), "as Cerebras has it");
}

#[test]
fn a_wait_that_cannot_be_read_gives_way_to_the_moment() {
    let lines = |after| {
        let quota = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1781524809")];
        read(Dialect::EpochSeconds, &[&quota[..], &[("x-ratelimit-reset-after", after)]].concat())
    };
    assert_eq!(lines("1.5"), Some(millis(1500)));
    assert_eq!(lines("soon"), Some(secs(9)));
}

#[test]
fn the_longest_counts_of_the_quotas_that_are_used_up() {
    let lines = [
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "9"),
        ("x-ratelimit-remaining-tokens", "1"),
        ("x-ratelimit-reset-tokens", "1h"),
        ("ratelimit", "\"a\";r=0;t=30, \"b\";r=1;t=900"),
        ("ratelimit", "\"c\";r=0;t=20"),
    ];
    assert_eq!(read(Dialect::Any, &lines), Some(secs(30)));
}

#[test]
fn a_list_may_have_tokens_for_names_and_any_parameters() {
    for value in [
        "\"default\";r=0;t=9",
        "default;r=0;t=9",
        "100-in-15min; r=0; pk=:NzYwOGI0:; t=9",
        "\"a \\\" b, c;r=1\";r=0;t=9;pk=:dHJp:;x;y=?1;z=\"q;r=1\";d=@1781524800;n=-5;f=1.5;k=tok/en",
        "*;t=9;r=0",
        " \"a\" ; r=0 ; t=9 ,\t\"b\";r=5;t=99 ",
        "\"a\";r=5;t=99;r=0;t=9",
        "\"a\";r=0, \"b\";r=0;t=9",
        "\"a\";r=0;t=-1, \"b\";r=0;t=9",
    ] {
        assert_eq!(field(value), Some(secs(9)), "{value}");
    }
}

#[test]
fn a_quota_of_a_list_without_what_it_needs_is_passed_over() {
    for value in [
        "\"a\"",
        "\"a\";t=9",
        "\"a\";r;t=9",
        "\"a\";r=none;t=9",
        "\"a\";r=\"0\";t=9",
        "\"a\";r=-1;t=9",
        "\"a\";r=0.5;t=9",
        "\"a\";r=1;t=9",
        "\"a\";R=0;t=9",
        "\"a\";r=0",
        "\"a\";r=0;t",
        "\"a\";r=0;t=soon",
        "\"a\";q=100;w=9",
    ] {
        assert_eq!(field(value), None, "{value}");
        assert_eq!(field(&format!("{value}, \"b\";r=0;t=7")), Some(secs(7)), "{value}");
    }
}

#[test]
fn a_dictionary_says_when_it_says_both() {
    for value in [
        "limit=100, remaining=0, reset=9",
        "reset=9,remaining=0",
        "limit=100;w=60, remaining=0;x=1, reset=9;comment=\"r=5\"",
    ] {
        assert_eq!(field(value), Some(secs(9)), "{value}");
    }
    for value in [
        "limit=100, remaining=1, reset=9",
        "limit=0, reset=9",
        "remaining=0",
        "remaining=0, reset=-9",
        "remaining=\"0\", reset=9",
        "remaining, reset=9",
        "remaining=0, remaining=5, reset=9",
        "remaining=5, remaining=0, reset=9",
        "default=0;r=0;t=9",
    ] {
        assert_eq!(field(value), None, "{value}");
    }
    let lines = [("ratelimit", "limit=9, remaining=0"), ("ratelimit", "reset=9")];
    assert_eq!(read(Dialect::Any, &lines), Some(secs(9)), "lines are one dictionary");
}

#[test]
fn a_malformed_field_tells_of_no_quota_at_all() {
    for malformed in [
        "\"b",
        "b;",
        "b;=5",
        ",",
        "b,,c",
        "b c",
        "b;x=",
        "b;x=(1 2)",
        "b=(1)",
        "b;x=:a",
        "b;x=?2",
        "b;x=-",
        "b;x=@",
        "(a b)",
        "b;r=0;t=9,",
        "\u{e4}",
        "b;x=\"",
        "\"b\"c",
        "b==1",
        "@",
    ] {
        let good = "\"a\";r=0;t=9";
        assert_eq!(field(&format!("{good}, {malformed}")), None, "{malformed}");
    }
    assert_eq!(field(""), None);
    let lines = [("ratelimit", "\"a\";r=0;t=9"), ("ratelimit", "\"b"), ("ratelimit", "")];
    assert_eq!(read(Dialect::Any, &lines), None);
}

#[test]
fn a_skewed_local_clock_changes_nothing() {
    let clocks = [0, NOON - 86_400 * 400, NOON - 3600, NOON, NOON + 7200, NOON + 86_400 * 4000];
    for (value, wait) in
        [("1781524890", 90), ("1781524890000", 90), ("90", 90), ("2026-06-15T12:01:30Z", 90)]
    {
        let lines = [DATE, ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", value)];
        for clock in clocks.map(secs) {
            let read = from_quota(&headers(&lines), SystemTime::UNIX_EPOCH + clock, Dialect::Any);
            assert_eq!(read, Some(secs(wait)), "{value} {clock:?}");
        }
    }
}

#[test]
fn without_a_date_of_its_own_or_from_a_cache_the_time_of_receipt_counts() {
    let quota = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1781524890")];
    let read = |lines: &[Lines<'_>]| {
        from_quota(
            &headers(&lines.concat()),
            SystemTime::UNIX_EPOCH + secs(NOON + 60),
            Dialect::Any,
        )
    };
    assert_eq!(read(&[&quota]), Some(secs(30)));
    assert_eq!(read(&[&quota, &[DATE]]), Some(secs(90)));
    assert_eq!(read(&[&quota, &[DATE, ("age", "60")]]), Some(secs(30)));
}
