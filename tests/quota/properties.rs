//! Any bytes at all.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const REMAINING: [&str; 8] = [
    "x-ratelimit-remaining",
    "x-rate-limit-remaining",
    "ratelimit-remaining",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-input-tokens-remaining",
    "anthropic-ratelimit-output-tokens-remaining",
];

const RESETS: [&str; 10] = [
    "x-ratelimit-reset",
    "x-ratelimit-reset-after",
    "x-rate-limit-reset",
    "ratelimit-reset",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-input-tokens-reset",
    "anthropic-ratelimit-output-tokens-reset",
    "date",
];

const DIALECTS: [Dialect; 5] = [
    Dialect::Any,
    Dialect::EpochSeconds,
    Dialect::EpochMilliseconds,
    Dialect::DeltaSeconds,
    Dialect::DeltaMilliseconds,
];

const PIECES: &str = "0|1|9|30|1781524890|1781524890000|18446744073709551616|0.0|.|,|, |;| |=|-|+|\
    \"|\\|:|?1|@|(|)|r|t|r=0|;r=0;t=9|remaining=0|, reset=9|limit|default|\"a\"|6m0s|12ms|s|\
    2026-06-15T12:05:00Z|Mon, 15 Jun 2026 12:05:00 GMT|ä";

fn any_value() -> impl Strategy<Value = Vec<u8>> {
    let pieces = vec(select(PIECES.split('|').collect::<Vec<_>>()), 0..10);
    prop_oneof![vec(any::<u8>(), 0..40), pieces.prop_map(|pieces| pieces.concat().into_bytes())]
}

/// What remains where something does, or what cannot be read.
fn any_rest() -> impl Strategy<Value = String> {
    prop_oneof![
        (1..=u64::MAX).prop_map(|rest| rest.to_string()),
        "0\\.0{0,20}[1-9]",
        "-[0-9]{1,5}",
        "0 ?, ?[1-9]",
        "[a-z]{0,5}",
    ]
}

/// A `RateLimit` field in which something remains of each quota.
fn any_field() -> impl Strategy<Value = String> {
    let item = (any_name(), 1..1000_u32, 0..1000_u32, any::<bool>()).prop_map(
        |(name, rest, wait, is_turned)| {
            if is_turned {
                format!("{name};t={wait};pk=:cjowOw==:;r={rest}")
            } else {
                format!("{name};r={rest};t={wait}")
            }
        },
    );
    let list = vec(item, 0..5).prop_map(|items| items.join(", "));
    let dictionary = (1..1000_u32, 0..1000_u32)
        .prop_map(|(rest, wait)| format!("limit=0, remaining={rest}, reset={wait}"));
    prop_oneof![list, dictionary]
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof!["\"[a-z;,= ]{0,8}\"", "[a-z0-9][a-z0-9-]{0,8}"]
}

fn add(headers: &mut HeaderMap, name: &'static str, value: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.append(name, value);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_bytes_panic_in_any_of_the_headers(
        remaining in vec((select(&REMAINING[..]), prop_oneof![Just(b"0".to_vec()), any_value()]), 0..5),
        resets in vec((select(&RESETS[..]), any_value()), 0..8),
        fields in vec(any_value(), 0..3),
        dialect in select(&DIALECTS[..]),
        received_at in any::<u32>(),
    ) {
        let mut headers = HeaderMap::new();
        let fields = fields.into_iter().map(|value| ("ratelimit", value));
        for (name, value) in remaining.into_iter().chain(resets).chain(fields) {
            add(&mut headers, name, &value);
        }
        from_quota(&headers, SystemTime::UNIX_EPOCH + secs(received_at.into()), dialect);
    }

    #[test]
    fn there_is_never_a_wait_where_something_remains(
        rest in vec(any_rest(), REMAINING.len()),
        resets in vec((select(&RESETS[..]), any_value()), 0..12),
        fields in vec(any_field(), 0..3),
        dialect in select(&DIALECTS[..]),
    ) {
        let mut headers = HeaderMap::new();
        for (name, rest) in REMAINING.into_iter().zip(&rest) {
            add(&mut headers, name, rest.as_bytes());
        }
        for (name, value) in resets {
            add(&mut headers, name, &value);
        }
        for field in &fields {
            add(&mut headers, "ratelimit", field.as_bytes());
        }

        prop_assert_eq!(from_quota(&headers, SystemTime::UNIX_EPOCH + secs(NOON), dialect), None);
    }

    #[test]
    fn the_longest_wait_of_a_list_reads_back(
        quotas in vec((any_name(), 0..3_u32, 0..100_000_u64), 1..8),
        is_split in any::<bool>(),
    ) {
        let items: Vec<_> =
            quotas.iter().map(|(name, rest, wait)| format!("{name};r={rest};t={wait}")).collect();
        let mut headers = HeaderMap::new();
        if is_split {
            for item in &items {
                add(&mut headers, "ratelimit", item.as_bytes());
            }
        } else {
            add(&mut headers, "ratelimit", items.join(",").as_bytes());
        }

        let used_up = quotas.iter().filter(|(_, rest, _)| *rest == 0);
        let longest = used_up.map(|(_, _, wait)| secs(*wait)).max();
        prop_assert_eq!(from_quota(&headers, SystemTime::UNIX_EPOCH, Dialect::Any), longest);
    }
}

#[test]
fn endless_headers_end() {
    let mut headers = HeaderMap::new();
    let many = 20_000;
    for number in 0..many {
        let name =
            |word| format!("x-ratelimit-{word}-{number}").parse::<http::HeaderName>().unwrap();
        headers.insert(name("remaining"), HeaderValue::from_static("0"));
    }
    add(&mut headers, "ratelimit", &b"a;r=0;t=9,".repeat(10_000));
    add(&mut headers, "x-ratelimit-remaining", &b"0,".repeat(50_000));
    headers.insert("x-ratelimit-reset-7", HeaderValue::from_static("30"));

    assert_eq!(from_quota(&headers, SystemTime::UNIX_EPOCH, Dialect::Any), Some(secs(30)));
}
