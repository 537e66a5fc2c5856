//! gRPC's refusals: which responses are, how long they ask us to stay away, and that
//! no bytes in their headers do harm.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "for tests")]
#![allow(clippy::indexing_slicing, reason = "for tests")]

mod support;

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use support::Outcome::Sent;
use support::*;
use tower_retry_after::hint::from_grpc;
use tower_retry_after::{Reason, RetryAfterBackoffLayer};

const PUSHBACK: &str = "grpc-retry-pushback-ms";
const DETAILS: &str = "grpc-status-details-bin";

/// A status 8 with a `RetryInfo` of 1.5 s, and one of 30 s.
const ONE_AND_A_HALF: &str =
    "CAgSBXF1b3RhGjYKKHR5cGUuZ29vZ2xlYXBpcy5jb20vZ29vZ2xlLnJwYy5SZXRyeUluZm8SCgoICAEQgMq17gE";
const THIRTY: &str =
    "CAgSBXF1b3RhGjAKKHR5cGUuZ29vZ2xlYXBpcy5jb20vZ29vZ2xlLnJwYy5SZXRyeUluZm8SBAoCCB4";

fn read(lines: &[(&'static str, &str)]) -> Option<Duration> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    from_grpc(&headers)
}

/// Writes base64, without padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for bytes in bytes.chunks(3) {
        let bits = bytes.iter().fold(0_usize, |bits, byte| bits * 256 + usize::from(*byte));
        let bits = bits << (8 * (3 - bytes.len()));
        for place in 0..=bytes.len() {
            text.push(char::from(DIGITS[bits >> (18 - 6 * place) & 63]));
        }
    }
    text
}

fn padded(text: &str) -> String {
    let padding = (4 - text.len() % 4) % 4;
    format!("{text}{}", "=".repeat(padding))
}

/// A response that ends with its head.
fn trailers_only(code: &str) -> Answer {
    ok().header("content-type", "application/grpc").header("grpc-status", code)
}

/// Sends one call to an upstream that answers so, and returns how long it then cools.
async fn cooled_by(answer: Answer) -> Option<Duration> {
    let peer = Peer::says([answer]);
    let layer = RetryAfterBackoffLayer::builder().trust_hints(true).build();
    ask(&client(&layer, &peer), A).await;
    layer.cooldowns().get(&upstream(A)).map(|info| info.retry_after())
}

mod pushback {
    use super::*;

    #[test]
    fn it_is_read_in_milliseconds() {
        assert_eq!(read(&[(PUSHBACK, "1500")]), Some(millis(1500)));
        assert_eq!(read(&[(PUSHBACK, " 7 ")]), Some(millis(7)));
        assert_eq!(read(&[(PUSHBACK, "0")]), Some(Duration::ZERO));
        assert_eq!(read(&[(PUSHBACK, "2147483647")]), Some(millis(2_147_483_647)));
    }

    #[test]
    fn what_is_negative_or_no_number_of_32_bits_is_no_wait() {
        for value in ["-1", "-2147483648", "", "x", "1.5", "1s", "2147483648", "0x10", "1 2", "--1"]
        {
            assert_eq!(read(&[(PUSHBACK, value)]), None, "{value}");
        }
    }

    #[test]
    fn the_longest_of_several_counts() {
        assert_eq!(read(&[(PUSHBACK, "5"), (PUSHBACK, "9"), (PUSHBACK, "-1")]), Some(millis(9)));
        assert_eq!(read(&[(PUSHBACK, "5, 9, x")]), Some(millis(9)));
    }

    #[test]
    fn it_goes_before_retry_info_unless_it_tells_no_wait() {
        let with_details = |pushback| read(&[(PUSHBACK, pushback), (DETAILS, THIRTY)]);

        assert_eq!(with_details("1500"), Some(millis(1500)));
        for no_wait in ["0", "-1", "soon"] {
            assert_eq!(with_details(no_wait), Some(secs(30)), "{no_wait}");
        }
    }
}

mod retry_info {
    use super::*;

    #[test]
    fn both_vectors_are_read_padded_or_not() {
        for (vector, wait) in [(ONE_AND_A_HALF, millis(1500)), (THIRTY, secs(30))] {
            assert_eq!(read(&[(DETAILS, vector)]), Some(wait));

            assert_eq!(read(&[(DETAILS, &padded(vector))]), Some(wait));
        }
    }

    #[test]
    fn a_vector_cut_anywhere_is_no_wait() {
        for vector in [ONE_AND_A_HALF, THIRTY] {
            for end in 0..vector.len() {
                assert_eq!(read(&[(DETAILS, &vector[..end])]), None, "{end}");
            }
        }
    }

    #[test]
    fn the_longest_of_several_values_counts() {
        let joined = format!("{ONE_AND_A_HALF}, {THIRTY}");
        assert_eq!(read(&[(DETAILS, &joined)]), Some(secs(30)));
        assert_eq!(read(&[(DETAILS, &format!("!, {THIRTY},{ONE_AND_A_HALF}"))]), Some(secs(30)));
        assert_eq!(read(&[(DETAILS, THIRTY), (DETAILS, "?")]), Some(secs(30)));
    }

    #[test]
    fn the_bits_behind_the_last_byte_say_nothing() {
        let (all_but_the_last, _) = THIRTY.split_at(THIRTY.len() - 1);
        for last in ["5", "6", "7"] {
            let value = format!("{all_but_the_last}{last}");
            assert_eq!(read(&[(DETAILS, &value)]), Some(secs(30)), "{value}");
        }
    }

    #[test]
    fn what_is_not_base64_is_no_wait() {
        for value in ["", "=", "====", "C", "-_-_", "CAgSBXF1b3Rh=GjA", "ä"] {
            assert_eq!(read(&[(DETAILS, value)]), None, "{value}");
        }
    }
}

mod encoded {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

    fn varint(mut number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number > 127 {
            bytes.push(u8::try_from(number % 128).unwrap() + 128);
            number /= 128;
        }
        bytes.push(u8::try_from(number).unwrap());
        bytes
    }

    fn number(field: u64, number: i64) -> Vec<u8> {
        let number = u64::from_ne_bytes(number.to_ne_bytes());
        [varint(field * 8), varint(number)].concat()
    }

    fn bytes(field: u64, bytes: &[u8]) -> Vec<u8> {
        [varint(field * 8 + 2), varint(bytes.len().try_into().unwrap()), bytes.to_vec()].concat()
    }

    fn fixed(field: u64, bytes: &[u8]) -> Vec<u8> {
        let wire = if bytes.len() == 8 { 1 } else { 5 };
        [varint(field * 8 + wire), bytes.to_vec()].concat()
    }

    fn delay(seconds: i64, nanos: i64) -> Vec<u8> {
        [number(1, seconds), number(2, nanos)].concat()
    }

    fn detail(url: &str, held: &[u8]) -> Vec<u8> {
        bytes(3, &[bytes(1, url.as_bytes()), bytes(2, held)].concat())
    }

    fn retry_info(seconds: i64, nanos: i64) -> Vec<u8> {
        detail(RETRY_INFO, &bytes(1, &delay(seconds, nanos)))
    }

    fn read_message(message: &[u8]) -> Option<Duration> {
        read(&[(DETAILS, &base64(message))])
    }

    /// The messages of the vectors.
    fn vectors() -> [Vec<u8>; 2] {
        [delay(1, 500_000_000), number(1, 30)].map(|delay| {
            let detail = detail(RETRY_INFO, &bytes(1, &delay));
            [number(1, 8), bytes(2, b"quota"), detail].concat()
        })
    }

    #[test]
    fn the_encoder_here_writes_the_vectors() {
        assert_eq!(vectors().map(|message| base64(&message)), [ONE_AND_A_HALF, THIRTY]);
    }

    #[test]
    fn a_message_cut_anywhere_is_no_wait() {
        for message in vectors() {
            for end in 0..message.len() {
                assert_eq!(read_message(&message[..end]), None, "{end}");
            }
            assert!(read_message(&message).is_some());
        }
    }

    #[test]
    fn a_delay_below_zero_or_out_of_range_is_no_wait() {
        for (seconds, nanos) in
            [(-1, 0), (i64::MIN, 0), (0, -1), (5, -1), (-5, 1), (0, 1_000_000_000), (1, i64::MAX)]
        {
            assert_eq!(read_message(&retry_info(seconds, nanos)), None, "{seconds} {nanos}");
        }
    }

    #[test]
    fn a_delay_of_nothing_is_a_wait_of_zero_and_none_at_all_is_no_wait() {
        assert_eq!(read_message(&retry_info(0, 0)), Some(Duration::ZERO));
        assert_eq!(read_message(&detail(RETRY_INFO, &bytes(1, b""))), Some(Duration::ZERO));
        assert_eq!(read_message(&detail(RETRY_INFO, b"")), None);
    }

    #[test]
    fn other_details_are_none_and_hide_none() {
        let held = bytes(1, &delay(9, 0));
        for url in ["google.rpc.RetryInfoo", "x/google.rpc.DebugInfo", "", "x.google.rpc.RetryInfo"]
        {
            assert_eq!(read_message(&detail(url, &held)), None, "{url}");
        }
        let both = [detail("x/google.rpc.QuotaFailure", &[255; 9]), retry_info(9, 0)].concat();
        assert_eq!(read_message(&both), Some(secs(9)));
        assert_eq!(read_message(&detail("google.rpc.RetryInfo", &held)), Some(secs(9)));
    }

    #[test]
    fn a_number_or_length_that_has_no_end_or_leads_nowhere_is_malformed() {
        let endless = [[0x80; 10].as_slice(), &retry_info(9, 0)].concat();
        let too_large = [&[8], [0xFF; 9].as_slice(), &[2], &retry_info(9, 0)].concat();
        let too_long = [bytes(1, b"")[..1].to_vec(), varint(u64::MAX), retry_info(9, 0)].concat();
        let group = [&[8 + 3][..], &retry_info(9, 0), &[8 + 4]].concat();
        for message in [endless, too_large, too_long, group] {
            assert_eq!(read_message(&message), None, "{message:?}");
        }
    }

    fn any_unknown() -> impl Strategy<Value = Vec<u8>> {
        let field = 4..100_000_u64;
        prop_oneof![
            (field.clone(), any::<i64>()).prop_map(|(field, value)| number(field, value)),
            (field.clone(), vec(any::<u8>(), 0..40))
                .prop_map(|(field, value)| bytes(field, &value)),
            (field.clone(), any::<[u8; 4]>()).prop_map(|(field, value)| fixed(field, &value)),
            (field, any::<[u8; 8]>()).prop_map(|(field, value)| fixed(field, &value)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn every_delay_reads_back_from_among_unknown_fields(
            delays in vec((0..i64::MAX, 0..1_000_000_000_i64), 1..4),
            unknown in vec(any_unknown(), 4),
            is_padded in any::<bool>(),
        ) {
            let details = delays.iter().map(|(seconds, nanos)| {
                let delay = [&unknown[0][..], &number(2, *nanos), &number(1, *seconds)].concat();
                let info = [&bytes(1, &delay)[..], &unknown[1]].concat();
                let any = [&bytes(2, &info)[..], &unknown[2], &bytes(1, RETRY_INFO.as_bytes())];
                bytes(3, &any.concat())
            });
            let message = [&unknown[3][..], &details.collect::<Vec<_>>().concat()].concat();
            let text = base64(&message);
            let text = if is_padded { padded(&text) } else { text };

            let longest = delays.iter().max().map(|(seconds, nanos)| {
                Duration::new((*seconds).try_into().unwrap(), (*nanos).try_into().unwrap())
            });
            prop_assert_eq!(read(&[(DETAILS, &text)]), longest);
        }

        #[test]
        fn no_bytes_panic(
            lines in vec((select(&[PUSHBACK, DETAILS][..]), vec(any::<u8>(), 0..80)), 0..4),
            message in vec(any::<u8>(), 0..200),
        ) {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    headers.append(name, value);
                }
            }
            from_grpc(&headers);
            read_message(&message);
            read_message(&detail(RETRY_INFO, &message));
            read_message(&detail(RETRY_INFO, &bytes(1, &message)));
        }

        #[test]
        fn no_damage_to_a_message_panics(
            seconds in any::<i64>(),
            nanos in any::<i64>(),
            damage in vec((any::<usize>(), any::<u8>()), 1..4),
        ) {
            let mut message = retry_info(seconds, nanos);
            for (place, byte) in damage {
                let place = place % message.len();
                message[place] = byte;
            }
            read_message(&message);
        }
    }

    #[test]
    fn an_endless_header_ends() {
        let long = base64(&retry_info(9, 0).repeat(5000));
        assert_eq!(read(&[(DETAILS, &long)]), Some(secs(9)));
        assert_eq!(read(&[(DETAILS, &"A,".repeat(50_000))]), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_cools_for_what_it_asks() {
    let refusals = [
        (trailers_only("8").header(PUSHBACK, "1500"), millis(1500)),
        (trailers_only("8").header(DETAILS, ONE_AND_A_HALF), millis(1500)),
        (trailers_only("14").header(PUSHBACK, "250"), millis(250)),
        (trailers_only("14").header(DETAILS, THIRTY), secs(30)),
        (trailers_only("8").header("retry-after", "7"), secs(7)),
        (trailers_only("14").header("retry-after", "7"), secs(7)),
    ];
    for (refusal, wait) in refusals {
        assert_eq!(cooled_by(refusal).await, Some(wait));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_without_a_wait_cools_for_the_rung() {
    for pushback in ["-1", "soon", "0"] {
        let refusal = trailers_only("8").header(PUSHBACK, pushback);
        assert_eq!(cooled_by(refusal).await, Some(secs(60)), "{pushback}");
    }
    assert_eq!(cooled_by(trailers_only("8")).await, Some(secs(60)));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_answers_for_a_grpc_service_is_understood() {
    // Envoy turns its 429 into a status 14, or an 8 if told to, and leaves its headers as they are.
    let quota = |code| {
        trailers_only(code)
            .header("x-envoy-ratelimited", "true")
            .header("x-ratelimit-remaining", "0")
            .header("x-ratelimit-reset", "9")
    };

    assert_eq!(cooled_by(quota("8")).await, Some(secs(9)));
    assert_eq!(cooled_by(quota("14")).await, None, "as on a 503, a quota is no exact wait");
}

#[tokio::test(start_paused = true)]
async fn unavailable_without_a_wait_and_all_other_statuses_cool_nothing() {
    for code in (0..=17).filter(|code| *code != 8) {
        assert_eq!(cooled_by(trailers_only(&code.to_string())).await, None, "{code}");
    }
    for code in ["", "x", "8x", "-8", "88"] {
        assert_eq!(cooled_by(trailers_only(code).header(PUSHBACK, "9")).await, None, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_began_says_nothing_against() {
    let began = ok().header("content-type", "application/grpc");
    assert_eq!(cooled_by(began.header(PUSHBACK, "9")).await, None);
}

#[tokio::test(start_paused = true)]
async fn the_content_type_decides_in_whichever_encoding() {
    let refusal = |content_type| {
        ok().header("content-type", content_type)
            .header("grpc-status", "8")
            .header(PUSHBACK, "9000")
    };
    for content_type in ["application/grpc", "application/grpc+proto", "Application/gRPC;x=1"] {
        assert_eq!(cooled_by(refusal(content_type)).await, Some(secs(9)), "{content_type}");
    }
    for content_type in ["application/json", "application/grp", "text/application/grpc", ""] {
        assert_eq!(cooled_by(refusal(content_type)).await, None, "{content_type}");
    }
    let without = ok().header("grpc-status", "8").header(PUSHBACK, "9000");
    assert_eq!(cooled_by(without).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_plain_429_from_a_proxy_still_counts() {
    let proxy = refused_for(9).header("content-type", "application/grpc");
    assert_eq!(cooled_by(proxy.clone()).await, Some(secs(9)));
    assert_eq!(cooled_by(proxy.header("grpc-status", "0")).await, Some(secs(9)));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_ends_unavailable_is_neutral_and_one_that_is_answered_ends_the_episode() {
    let peer = Peer::says([trailers_only("8"), trailers_only("14"), trailers_only("5")]);
    let layer = RetryAfterBackoffLayer::new();
    let (client, cooldowns) = (client(&layer, &peer), layer.cooldowns());
    assert_eq!(ask(&client, A).await, Sent(200));

    pass(secs(60)).await;
    assert_eq!(ask(&client, A).await, Sent(200));
    assert_eq!(info(&cooldowns, A).retry_after(), secs(1));
    assert_eq!(info(&cooldowns, A).consecutive_failures(), 1);

    pass(secs(1)).await;
    assert_eq!(ask(&client, A).await, Sent(200));
    assert_eq!(info(&cooldowns, A).consecutive_failures(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_error_reads_well_though_the_status_is_200() {
    let peer = Peer::says([trailers_only("8").header(PUSHBACK, "90000")]);
    let client = client(&RetryAfterBackoffLayer::new(), &peer);
    ask(&client, A).await;

    let limited = held(&client, A).await;

    assert_eq!(limited.reason(), Reason::Cooling);
    assert_eq!(limited.hint(), Some(secs(90)));
    assert_eq!(
        limited.to_string(),
        "not sent, https://a.example is cooling down after a refusal with HTTP 200 \
         (retry after 90s)",
    );
}
