//! What a gRPC response says that ends with its head.
//!
//! It sees headers alone: a status that follows after messages stands in trailers, and is none
//! of its business.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use super::{Head, Verdict, is_above_zero};
use crate::hint;

/// Returns whether the response speaks gRPC, in whichever encoding.
///
/// Every success is asked. Its type is among the first of its headers: to go through them takes
/// less time than to compute where it stands.
pub(super) fn is_spoken(headers: &HeaderMap) -> bool {
    let content = headers.iter().find(|(name, _)| *name == CONTENT_TYPE);
    content.is_some_and(|(_, content)| is_type(content))
}

/// Returns whether a content type is one of gRPC.
#[inline]
pub(crate) fn is_type(content: &HeaderValue) -> bool {
    const BEGINNING: &[u8] = b"application/grpc";

    let beginning = content.as_bytes().get(..BEGINNING.len());
    beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(BEGINNING))
}

/// Decides by the status in the headers of a gRPC response.
pub(super) fn verdict(head: &Head<'_>) -> Verdict {
    let status = head.headers.get("grpc-status").map(|status| status.as_bytes().trim_ascii());
    let grpc = || hint::from_grpc(head.headers);
    match status {
        // RESOURCE_EXHAUSTED, which stands for a 429.
        Some(b"8") => {
            let quota = Some(head.quota.unwrap_or_default());
            let hint = grpc().filter(is_above_zero).or_else(|| head.wait(quota)).or_else(grpc);
            Verdict::RateLimited { hint }
        }
        // UNAVAILABLE, which stands for a 503.
        Some(b"14") => {
            let hint = grpc().filter(is_above_zero).or_else(|| head.wait(head.quota));
            match hint.filter(is_above_zero) {
                hint @ Some(_) => Verdict::RateLimited { hint },
                None => Verdict::Neutral,
            }
        }
        // CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, DATA_LOSS.
        Some(b"1" | b"2" | b"4" | b"12" | b"13" | b"15") => Verdict::Neutral,
        _ => Verdict::Success,
    }
}
