//! Reads how long a response asks us to stay away.
use std::time::{Duration, SystemTime};

/// Returns the longest exact wait that the headers ask for.
pub fn from_headers(_headers: &http::HeaderMap, _received_at: SystemTime) -> Option<Duration> {
    None
}
