//! A small GitHub: a repository's issues, and the ways in which it refuses.

use http::request::Parts;
use serde_json::json;

use crate::answer::Answer;

/// Answers as the API does; there are no issues.
pub fn answer(request: &Parts) -> Answer {
    match request.uri.path() {
        "/repos/octo/cat/issues" => limited(Answer::status(200), 4999).json(&json!([])),
        _ => limited(Answer::status(404), 4999).json(&json!({ "message": "Not Found" })),
    }
}

/// The primary limit: the quota is used up until `reset`, in seconds since 1970.
pub fn primary_limit(reset: u64) -> Answer {
    let answer = Answer::status(403).header("x-ratelimit-reset", reset.to_string());
    limited(answer, 0).json(&json!({
        "message": "API rate limit exceeded for user ID 1.",
        "documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api",
    }))
}

/// The last answer before the primary limit.
pub fn last(reset: u64) -> Answer {
    let answer = Answer::status(200).header("x-ratelimit-reset", reset.to_string());
    limited(answer, 0).json(&json!([]))
}

/// A secondary limit: too much at once.
pub fn secondary_limit() -> Answer {
    let answer = Answer::status(403).header("retry-after", "1");
    limited(answer, 4998).json(&json!({
        "message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
        "documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api",
    }))
}

/// A 403 that is about authorisation alone.
pub fn forbidden() -> Answer {
    limited(Answer::status(403), 4997).json(&json!({
        "message": "Resource not accessible by integration",
        "documentation_url": "https://docs.github.com/rest",
    }))
}

fn limited(answer: Answer, remaining: u32) -> Answer {
    answer
        .header("x-ratelimit-limit", "5000")
        .header("x-ratelimit-remaining", remaining.to_string())
        .header("x-ratelimit-resource", "core")
}
