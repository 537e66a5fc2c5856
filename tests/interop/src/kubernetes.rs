//! A small Kubernetes API: config maps in the namespace `default`.

use http::request::Parts;
use serde_json::{Value, json};

use crate::answer::Answer;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Answers as the API server does.
pub fn answer(request: &Parts) -> Answer {
    match request.uri.path().strip_prefix(CONFIG_MAPS) {
        Some("") => Answer::status(200).json(&json!({
            "apiVersion": "v1",
            "kind": "ConfigMapList",
            "metadata": { "resourceVersion": "1" },
            "items": [config_map("settings")],
        })),
        Some("/settings") => Answer::status(200).json(&config_map("settings")),
        Some(_) | None => Answer::status(404).json(&status(404, "NotFound", "not found")),
    }
}

/// The answer of API priority and fairness to a client it has no seat for.
pub fn refused() -> Answer {
    let mut body = status(429, "TooManyRequests", "Too many requests, please try again later.");
    if let Some(fields) = body.as_object_mut() {
        fields.insert("details".to_owned(), json!({ "retryAfterSeconds": 1 }));
    }
    Answer::status(429).header("retry-after", "1").json(&body)
}

fn config_map(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": "default" },
        "data": { "colour": "blue" },
    })
}

fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Failure",
        "reason": reason,
        "message": message,
        "code": code,
    })
}
