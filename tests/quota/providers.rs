//! Each provider's own headers. Where they come from: the providers' documentation, and
//! what was seen of them.

use super::*;

const ANY: Option<Dialect> = Some(Dialect::Any);

/// Holds that a quota that is used up is heeded alike in both dialects, and by default.
///
/// A success cools where quotas are heeded and not elsewhere; a 429 cools in any case.
async fn holds(dialect: Dialect, lines: Lines<'_>, wait: Duration) {
    for signals in [Dialect::Any, dialect] {
        assert_eq!(cooled_by(Some(signals), 200, lines).await, drained_and_cooled(wait));
        assert_eq!(cooled_by(Some(signals), 429, lines).await, refused_and_cooled(wait));
    }
    assert_eq!(cooled_by(None, 200, lines).await, None);
    assert_eq!(cooled_by(None, 429, lines).await, refused_and_cooled(wait));
}

/// Holds that these headers start no cooldown.
async fn says_nothing(lines: Lines<'_>) {
    for dialect in [
        Dialect::Any,
        Dialect::EpochSeconds,
        Dialect::EpochMilliseconds,
        Dialect::DeltaSeconds,
        Dialect::DeltaMilliseconds,
    ] {
        assert_eq!(cooled_by(Some(dialect), 200, lines).await, None, "{dialect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn github_primary() {
    let quota = |remaining| {
        [
            ("x-ratelimit-limit", "5000"),
            ("x-ratelimit-remaining", remaining),
            ("x-ratelimit-used", "5000"),
            ("x-ratelimit-reset", "1781526600"),
            ("x-ratelimit-resource", "core"),
        ]
    };
    holds(Dialect::EpochSeconds, &quota("0"), secs(1800)).await;
    says_nothing(&quota("1")).await;

    // A 403 is a refusal where quotas are heeded, and what it says.
    assert_eq!(cooled_by(ANY, 403, &quota("0")).await, refused_and_cooled(secs(1800)));
    assert_eq!(cooled_by(None, 403, &quota("0")).await, None);
    // A bare one is about authorisation.
    assert_eq!(cooled_by(ANY, 403, &quota("4999")).await, None);
    assert_eq!(cooled_by(ANY, 403, &[]).await, None);
}

#[tokio::test(start_paused = true)]
async fn github_secondary() {
    let lines = [
        ("retry-after", "60"),
        ("x-ratelimit-limit", "5000"),
        ("x-ratelimit-remaining", "4987"),
        ("x-ratelimit-reset", "1781526600"),
    ];
    for (signals, status) in [(ANY, 403), (None, 403), (ANY, 429), (None, 429)] {
        assert_eq!(cooled_by(signals, status, &lines).await, refused_and_cooled(secs(60)));
    }
    // Both limits at once: what is asked for exactly wins.
    let both = [
        ("retry-after", "60"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "1781526600"),
    ];
    assert_eq!(cooled_by(ANY, 403, &both).await, refused_and_cooled(secs(60)));
}

#[tokio::test(start_paused = true)]
async fn okta() {
    let quota = |remaining| {
        [
            ("x-rate-limit-limit", "600"),
            ("x-rate-limit-remaining", remaining),
            ("x-rate-limit-reset", "1781524812"),
        ]
    };
    holds(Dialect::EpochSeconds, &quota("0"), secs(12)).await;
    says_nothing(&quota("599")).await;

    let unhyphenated = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1781524812")];
    holds(Dialect::EpochSeconds, &unhyphenated, secs(12)).await;
}

#[tokio::test(start_paused = true)]
async fn discord() {
    let bucket = |remaining| {
        [
            ("x-ratelimit-limit", "5"),
            ("x-ratelimit-remaining", remaining),
            ("x-ratelimit-reset", "1781524864.57"),
            ("x-ratelimit-reset-after", "64.5"),
            ("x-ratelimit-bucket", "abcd1234"),
        ]
    };
    // The wait needs no clock, so it is preferred.
    holds(Dialect::EpochSeconds, &bucket("0"), millis(64_500)).await;
    says_nothing(&bucket("1")).await;

    let without_wait = &bucket("0")[..3];
    holds(Dialect::EpochSeconds, without_wait, millis(64_570)).await;

    let global = [
        ("retry-after", "65"),
        ("x-ratelimit-global", "true"),
        ("x-ratelimit-scope", "global"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset-after", "64.57"),
    ];
    assert_eq!(cooled_by(None, 429, &global).await, refused_and_cooled(secs(65)));
}

#[tokio::test(start_paused = true)]
async fn reddit() {
    let quota = |remaining| {
        [
            ("x-ratelimit-remaining", remaining),
            ("x-ratelimit-used", "996"),
            ("x-ratelimit-reset", "354"),
        ]
    };
    holds(Dialect::DeltaSeconds, &quota("0.0"), secs(354)).await;
    for remaining in ["0.5", "594.0", "0.0000000000001"] {
        says_nothing(&quota(remaining)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn envoy() {
    let quota = |remaining| {
        [
            ("x-ratelimit-limit", "10, 10;w=1;name=\"per-ip\", 1000;w=60"),
            ("x-ratelimit-remaining", remaining),
            ("x-ratelimit-reset", "1"),
        ]
    };
    holds(Dialect::DeltaSeconds, &quota("0"), secs(1)).await;
    says_nothing(&quota("9")).await;
}

#[tokio::test(start_paused = true)]
async fn rocket_chat() {
    let quota = |remaining| {
        [
            ("x-ratelimit-limit", "10"),
            ("x-ratelimit-remaining", remaining),
            ("x-ratelimit-reset", "1781524860500"),
        ]
    };
    holds(Dialect::EpochMilliseconds, &quota("0"), millis(60_500)).await;
    says_nothing(&quota("9")).await;
}

#[tokio::test(start_paused = true)]
async fn mastodon() {
    let quota = |remaining| {
        [
            ("x-ratelimit-limit", "300"),
            ("x-ratelimit-remaining", remaining),
            ("x-ratelimit-reset", "2026-06-15T12:05:00.250000Z"),
        ]
    };
    holds(Dialect::DeltaSeconds, &quota("0"), millis(300_250)).await;
    says_nothing(&quota("299")).await;
}

#[tokio::test(start_paused = true)]
async fn atlassian() {
    let quota = |remaining| {
        [
            ("x-ratelimit-limit", "350"),
            ("x-ratelimit-remaining", remaining),
            ("x-ratelimit-reset", "2026-06-15T12:30Z"),
            ("x-ratelimit-nearlimit", "true"),
            ("ratelimit-reason", "jira-quota-tenant-based"),
        ]
    };
    holds(Dialect::EpochSeconds, &quota("0"), secs(1800)).await;
    says_nothing(&quota("349")).await;

    // Without `r`, nobody knows what is left.
    says_nothing(&[("ratelimit", "\"tenant-app-quota\";t=2788")]).await;
    // What is being tried out is not to be obeyed.
    let beta = [
        ("beta-ratelimit", "\"tenant-app-quota\";r=0;t=2788"),
        ("beta-ratelimit-policy", "\"tenant-app-quota\";q=100100;w=3600"),
        ("x-beta-ratelimit-reset", "2026-06-15T13:00Z"),
        ("beta-retry-after", "2788"),
        ("x-ratelimit-limit", "400"),
        ("x-ratelimit-remaining", "399"),
    ];
    says_nothing(&beta).await;
    assert_eq!(cooled_by(None, 429, &beta).await, refused_and_cooled(secs(60)), "the rung");
}

#[tokio::test(start_paused = true)]
async fn atlassian_data_center() {
    let bucket = |remaining, retry_after| {
        [
            ("x-ratelimit-limit", "30"),
            ("x-ratelimit-remaining", remaining),
            ("x-ratelimit-interval-seconds", "20"),
            ("x-ratelimit-fillrate", "3"),
            ("retry-after", retry_after),
        ]
    };
    // It tells with every answer how long to wait, and no reset.
    let drained = bucket("0", "15");
    assert_eq!(cooled_by(ANY, 200, &drained).await, drained_and_cooled(secs(15)));
    assert_eq!(cooled_by(None, 200, &drained).await, None);
    assert_eq!(cooled_by(None, 429, &drained).await, refused_and_cooled(secs(15)));
    says_nothing(&bucket("29", "0")).await;
    says_nothing(&bucket("29", "15")).await;
}

#[tokio::test(start_paused = true)]
async fn prisjakt() {
    for (remaining, reset) in [
        ("x-rate-limit-remaining", "x-rate-limit-reset"),
        ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ] {
        let lines = [(remaining, "0"), (reset, "600000")];
        let milliseconds = Some(Dialect::DeltaMilliseconds);
        let ten_minutes = secs(600);
        assert_eq!(cooled_by(milliseconds, 200, &lines).await, drained_and_cooled(ten_minutes));
        assert_eq!(cooled_by(milliseconds, 429, &lines).await, refused_and_cooled(ten_minutes));
        says_nothing(&[(remaining, "9999"), (reset, "600000")]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn x() {
    let quota = |remaining| {
        [
            ("x-rate-limit-limit", "900"),
            ("x-rate-limit-remaining", remaining),
            ("x-rate-limit-reset", "1781525700"),
        ]
    };
    holds(Dialect::EpochSeconds, &quota("0"), secs(900)).await;
    says_nothing(&quota("899")).await;
}

#[tokio::test(start_paused = true)]
async fn gitlab() {
    let quota = |remaining| {
        [
            ("ratelimit-limit", "60"),
            ("ratelimit-name", "throttle_authenticated_web"),
            ("ratelimit-observed", "67"),
            ("ratelimit-remaining", remaining),
            ("ratelimit-reset", "1781524830"),
            ("ratelimit-resettime", "Mon, 15 Jun 2026 12:00:30 GMT"),
        ]
    };
    holds(Dialect::EpochSeconds, &quota("0"), secs(30)).await;
    says_nothing(&quota("1")).await;

    let refusal = [&quota("0")[..], &[("retry-after", "31")]].concat();
    assert_eq!(cooled_by(None, 429, &refusal).await, refused_and_cooled(secs(31)));
}

#[tokio::test(start_paused = true)]
async fn zendesk() {
    let quota = |remaining| {
        [
            ("x-rate-limit", "700"),
            ("x-rate-limit-remaining", remaining),
            ("ratelimit-limit", "700"),
            ("ratelimit-remaining", remaining),
            ("ratelimit-reset", "41"),
        ]
    };
    holds(Dialect::DeltaSeconds, &quota("0"), secs(41)).await;
    says_nothing(&quota("699")).await;
}

#[tokio::test(start_paused = true)]
async fn openai() {
    let quota = |requests, tokens| {
        [
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-requests", requests),
            ("x-ratelimit-remaining-tokens", tokens),
            ("x-ratelimit-reset-requests", "12ms"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ]
    };
    holds(Dialect::DeltaSeconds, &quota("0", "149984"), millis(12)).await;
    holds(Dialect::EpochSeconds, &quota("59", "0"), secs(360)).await;
    holds(Dialect::DeltaSeconds, &quota("0", "0"), secs(360)).await;
    says_nothing(&quota("59", "149984")).await;

    let refusal =
        [&quota("0", "0")[..], &[("retry-after-ms", "1250"), ("retry-after", "2")]].concat();
    assert_eq!(cooled_by(None, 429, &refusal).await, refused_and_cooled(millis(1250)));
}

#[tokio::test(start_paused = true)]
async fn anthropic() {
    let quota = |requests, input, output| {
        [
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", requests),
            ("anthropic-ratelimit-requests-reset", "2026-06-15T12:00:01Z"),
            ("anthropic-ratelimit-tokens-limit", "90000"),
            ("anthropic-ratelimit-tokens-remaining", "70000"),
            ("anthropic-ratelimit-tokens-reset", "2026-06-15T12:20:00Z"),
            ("anthropic-ratelimit-input-tokens-limit", "50000"),
            ("anthropic-ratelimit-input-tokens-remaining", input),
            ("anthropic-ratelimit-input-tokens-reset", "2026-06-15T12:00:48Z"),
            ("anthropic-ratelimit-output-tokens-limit", "10000"),
            ("anthropic-ratelimit-output-tokens-remaining", output),
            ("anthropic-ratelimit-output-tokens-reset", "2026-06-15T12:00:12Z"),
        ]
    };
    let (some, none) = ("100", "0");
    holds(Dialect::EpochSeconds, &quota(none, some, some), secs(1)).await;
    holds(Dialect::EpochSeconds, &quota(some, none, some), secs(48)).await;
    holds(Dialect::DeltaSeconds, &quota(some, some, none), secs(12)).await;
    holds(Dialect::DeltaSeconds, &quota(none, none, none), secs(48)).await;
    says_nothing(&quota(some, some, some)).await;

    // Overload says nothing of how long it lasts, unless it does.
    assert_eq!(cooled_by(ANY, 529, &quota(some, some, some)).await, None);
    assert_eq!(cooled_by(None, 529, &[("retry-after", "30")]).await, refused_and_cooled(secs(30)));
}

#[tokio::test(start_paused = true)]
async fn anthropics_drained_window_is_capped_and_shown_as_sent() {
    let lines = [("retry-after", "7999"), ("anthropic-ratelimit-tokens-remaining", "0")];
    assert_eq!(cooled_by(None, 429, &lines).await, refused_and_cooled(secs(3600)));

    let peer = Peer::says([refused_for(7999)]);
    let client = client(&RetryAfterBackoffLayer::for_api(), &peer);
    ask(&client, A).await;
    assert_eq!(held(&client, A).await.hint(), Some(secs(7999)));
}

#[tokio::test(start_paused = true)]
async fn mediawiki() {
    let error =
        |code| [("mediawiki-api-error", code), ("retry-after", "5"), ("x-database-lag", "7")];
    for code in ["maxlag", "ratelimited"] {
        assert_eq!(cooled_by(ANY, 200, &error(code)).await, refused_and_cooled(secs(5)), "{code}");
        assert_eq!(cooled_by(None, 200, &error(code)).await, None, "{code}");
    }
    let without_wait = [("mediawiki-api-error", "ratelimited")];
    assert_eq!(cooled_by(ANY, 200, &without_wait).await, refused_and_cooled(secs(60)));
    says_nothing(&error("badtoken")).await;
    says_nothing(&error("maxlagged")).await;
    says_nothing(&error("")).await;
}

#[tokio::test(start_paused = true)]
async fn azure() {
    let lines = [
        ("retry-after-ms", "6500"),
        ("x-ms-retry-after-ms", "6500"),
        ("retry-after", "7"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "10"),
    ];
    assert_eq!(cooled_by(ANY, 429, &lines).await, refused_and_cooled(millis(6500)));
    assert_eq!(cooled_by(None, 429, &lines).await, refused_and_cooled(millis(6500)));
    holds(Dialect::DeltaSeconds, &lines[3..], secs(10)).await;
}

#[tokio::test(start_paused = true)]
async fn aws() {
    let lines = [("x-amz-retry-after", "2500")];
    assert_eq!(cooled_by(None, 429, &lines).await, refused_and_cooled(millis(2500)));
    assert_eq!(cooled_by(None, 503, &lines).await, refused_and_cooled(millis(2500)));
    says_nothing(&lines).await;
}

#[tokio::test(start_paused = true)]
async fn notion() {
    let lines = [("retry-after", "30")];
    for signals in [None, ANY] {
        assert_eq!(cooled_by(signals, 429, &lines).await, refused_and_cooled(secs(30)));
        assert_eq!(cooled_by(signals, 529, &lines).await, refused_and_cooled(secs(30)));
    }
    says_nothing(&lines).await;
}

#[tokio::test(start_paused = true)]
async fn the_drafts() {
    let up_to_06 = [
        ("ratelimit-limit", "100, 100;w=10"),
        ("ratelimit-remaining", "0"),
        ("ratelimit-reset", "7"),
        ("ratelimit-policy", "100;w=10"),
    ];
    holds(Dialect::DeltaSeconds, &up_to_06, secs(7)).await;

    let of_07 =
        [("ratelimit", "limit=100, remaining=0, reset=7"), ("ratelimit-policy", "100;w=10")];
    holds(Dialect::EpochSeconds, &of_07, secs(7)).await;

    let from_08 = [
        ("ratelimit", "\"default\";r=50;t=30, \"burst\";r=0;t=7"),
        ("ratelimit-policy", "\"default\";q=100;w=60, \"burst\";q=10;w=10"),
    ];
    holds(Dialect::EpochMilliseconds, &from_08, secs(7)).await;
}
