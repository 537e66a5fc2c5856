//! Reads the wait in a gRPC response that ends with its head.
//!
//! It decides nothing: whether the response is a refusal is for the classifier to say.

use std::time::Duration;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;

use super::longest;
use super::protobuf::{Value, fields};
use super::scan::trim;

const PUSHBACK: &str = "grpc-retry-pushback-ms";
const DETAILS: &str = "grpc-status-details-bin";

/// The type of a detail that says when to come back, behind the last slash of its URL.
const RETRY_INFO: &[u8] = b"google.rpc.RetryInfo";

/// gRPC asks receivers to read base64 with padding and without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Returns the pushback, or where there is none above zero, the longest `RetryInfo`.
pub(crate) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let pushback = longest(headers, PUSHBACK, pushback);
    match pushback {
        Some(wait) if !wait.is_zero() => pushback,
        _ => longest(headers, DETAILS, details).or(pushback),
    }
}

/// Reads milliseconds as gRPC has them: in 32 bits, of which one is the sign.
fn pushback(text: &[u8]) -> Option<Duration> {
    let millis: i32 = str::from_utf8(trim(text)).ok()?.parse().ok()?;
    u64::try_from(millis).ok().map(Duration::from_millis)
}

/// Reads a `google.rpc.Status` in base64.
fn details(text: &[u8]) -> Option<Duration> {
    let text = trim(text);
    // Values joined with a comma: the list's reader tries them one by one as well.
    if text.contains(&b',') {
        return None;
    }
    let mut bytes = vec![0; base64::decoded_len_estimate(text.len())];
    let length = BASE64.decode_slice(text, &mut bytes).ok()?;
    status(bytes.get(..length)?)
}

/// Reads a `google.rpc.Status`: its third field are the details.
fn status(message: &[u8]) -> Option<Duration> {
    let mut longest = None;
    fields(message, |number, value| {
        if let (3, Value::Bytes(detail)) = (number, value) {
            longest = longest.max(retry_info(any(detail)?));
        }
        Some(())
    })?;
    longest
}

/// Reads a `google.protobuf.Any`; returns what it holds if that is a `RetryInfo`, or nothing.
fn any(message: &[u8]) -> Option<&[u8]> {
    let (mut name, mut held): (&[u8], &[u8]) = (&[], &[]);
    fields(message, |number, value| {
        match (number, value) {
            (1, Value::Bytes(url)) => name = url.rsplit(|byte| *byte == b'/').next()?,
            (2, Value::Bytes(bytes)) => held = bytes,
            _ => {}
        }
        Some(())
    })?;
    Some(if name == RETRY_INFO { held } else { &[] })
}

/// Reads a `google.rpc.RetryInfo`: its first field is the delay, a `google.protobuf.Duration`.
fn retry_info(message: &[u8]) -> Option<Duration> {
    let mut delay: Option<(i64, i64)> = None;
    fields(message, |number, value| {
        let (1, Value::Bytes(part)) = (number, value) else { return Some(()) };
        // A message that comes in parts is what all of them say.
        let (seconds, nanos) = delay.get_or_insert_default();
        fields(part, |number, value| {
            match (number, value) {
                (1, Value::Varint(number)) => *seconds = number.cast_signed(),
                (2, Value::Varint(number)) => *nanos = number.cast_signed(),
                _ => {}
            }
            Some(())
        })
    })?;
    let (seconds, nanos) = delay?;
    let nanos = u32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(seconds).ok()?, nanos))
}
