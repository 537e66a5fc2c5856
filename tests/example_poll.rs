//! The first run: what `examples/poll` promises to whoever starts it.
//!
//! The built program is run as a user would run it; the script of its upstream
//! is played in virtual time.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use serde_json::Value;
use tokio::net::TcpSocket;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_retry_after::{
    Error, Ladder, Reason, RefusalErrorLayer, RetryAfterBackoffLayer, Upstream,
};

use crate::limiter::{Limit, Limiter, TooEarly};
use crate::program::program;
use crate::upstream::Site;
use crate::watch::{Outcome, Watch};

#[path = "../examples/poll/clock.rs"]
mod clock;
#[path = "../examples/poll/event.rs"]
#[expect(dead_code, reason = "colours and JSON are looked at in the program's output")]
mod event;
#[path = "../examples/poll/limiter.rs"]
mod limiter;
#[path = "support/program.rs"]
mod program;
#[path = "../examples/poll/upstream.rs"]
#[expect(dead_code, reason = "the server around the site is not needed here")]
mod upstream;
#[path = "../examples/poll/watch.rs"]
#[expect(dead_code, reason = "one poller sees less than the program does")]
mod watch;

fn run(options: &[&str]) -> Output {
    Command::new(program("poll")).args(options).output().expect("the example can be run")
}

fn lines(text: &[u8]) -> Vec<&str> {
    std::str::from_utf8(text).expect("the example writes UTF-8").lines().collect()
}

fn json_lines(output: &Output) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    lines(&output.stdout).into_iter().map(parse).collect()
}

/// A place where nobody listens; nobody else can, as long as it is held.
struct Closed {
    url: String,
    _port: TcpSocket,
}

fn closed() -> Closed {
    let port = TcpSocket::new_v4().expect("there are sockets");
    port.bind(([127, 0, 0, 1], 0).into()).expect("loopback is there");
    let url = format!("http://{}/", port.local_addr().expect("a bound port has an address"));
    Closed { url, _port: port }
}

fn assert_refuses_to_start(options: &[&str]) {
    let output = run(options);

    assert_eq!(output.status.code(), Some(2), "{options:?}");
    assert_eq!(lines(&output.stderr).len(), 1, "{options:?}: {:?}", lines(&output.stderr));
    assert!(lines(&output.stderr)[0].starts_with("poll: "), "{options:?}");
    assert!(output.stdout.is_empty(), "{options:?}");
}

#[test]
fn a_bad_option_is_one_clear_line_and_exit_code_2() {
    for options in [
        &["--frobnicate"] as &[&str],
        &["-x"],
        &["stray"],
        &["--every"],
        &["--every", "0s"],
        &["--every", "10"],
        &["--every", "fast"],
        &["--for", "-1s"],
        &["--for", "25h"],
        &["--base", "1.5s"],
        &["--cap", "99999999999999999999s"],
        &["--concurrency", "0"],
        &["--concurrency", "1001"],
        &["--json=yes"],
    ] {
        assert_refuses_to_start(options);
    }
}

#[test]
fn a_bad_url_is_one_clear_line_and_exit_code_2() {
    for url in [
        "",
        "api.example/feed",
        "/feed",
        "http://",
        "http:///feed",
        "ftp://api.example/",
        "http://api.example:99999/",
        "http://api.example:/",
        "http://api.example/a b",
    ] {
        assert_refuses_to_start(&["--url", url]);
    }
}

#[test]
fn https_is_refused_with_the_reason_and_without_the_credentials() {
    let options = ["--url", "https://me:secret@api.example/feed"];
    assert_refuses_to_start(&options);

    let output = run(&options);
    let line = lines(&output.stderr)[0];
    assert!(line.contains("no TLS"), "{line}");
    assert!(!line.contains("secret"), "{line}");
}

#[test]
fn help_tells_every_option() {
    let output = run(&["--help"]);

    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8_lossy(&output.stdout);
    for option in ["--url", "--every", "--for", "--base", "--cap", "--concurrency", "--json"] {
        assert!(help.contains(option), "{option}");
    }
}

#[test]
fn an_unreachable_upstream_is_shown_once_and_polled_on() {
    let closed = closed();
    let output = run(&["--url", &closed.url, "--every", "50ms", "--for", "1s", "--json"]);

    assert_eq!(output.status.code(), Some(0), "{:?}", lines(&output.stderr));
    let events = json_lines(&output);
    let shown = events.iter().filter(|line| line["event"] == "failed");
    assert_eq!(shown.count(), 1);
    let counts = &events[events.len() - 1]["upstreams"][0];
    assert!(counts["failed"].as_u64() > Some(1), "{counts}");
    assert_eq!(counts["ok"], 0);
}

#[test]
fn an_upstream_that_fails_does_not_disturb_the_others() {
    let (one, other) = (closed(), closed());
    let output =
        run(&["--url", &one.url, "--url", &other.url, "--every", "50ms", "--for", "1s", "--json"]);

    let events = json_lines(&output);
    let counts = events[events.len() - 1]["upstreams"].as_array().expect("a list").clone();
    assert_eq!(counts.len(), 2);
    assert!(counts.iter().all(|counts| counts["failed"].as_u64() > Some(1)), "{counts:?}");
}

#[test]
fn json_is_one_valid_line_for_each_event_and_for_the_summary() {
    let output = run(&["--every", "20ms", "--for", "2s", "--concurrency", "2", "--json"]);

    assert_eq!(output.status.code(), Some(0), "{:?}", lines(&output.stderr));
    let events = json_lines(&output);
    let words: Vec<&str> = events.iter().filter_map(|line| line["event"].as_str()).collect();
    assert_eq!(words.len(), events.len());
    assert!(events.iter().all(|line| line["at_ms"].is_u64()));
    assert_eq!(words[..2], ["start", "ok"]);
    assert_eq!(words.last(), Some(&"summary"));
    assert!(words.contains(&"refused") && words.contains(&"rejected_early"), "{words:?}");
}

#[test]
fn the_summary_adds_up() {
    let output = run(&["--every", "20ms", "--for", "2s", "--json"]);

    let events = json_lines(&output);
    let summary = &events[events.len() - 1];
    let counts = &summary["upstreams"][0];
    let count = |name: &str| counts[name].as_u64().unwrap_or_else(|| panic!("no {name}: {counts}"));
    assert_eq!(count("polls"), count("sent") + count("rejected_early"));
    let ended = count("ok") + count("refused") + count("failed");
    assert_eq!(count("sent"), ended + count("unanswered"));
    assert!(count("unanswered") <= 1, "one poller has one call out at most: {counts}");
    assert!(count("rejected_early") > 0, "{counts}");
    let without = &summary["without_layer"];
    assert_eq!(without["sent"], counts["polls"]);
    assert!(without["refused"].as_u64() > counts["refused"].as_u64(), "{summary}");
}

#[test]
fn people_get_lines_and_a_table_without_colours_where_there_is_no_terminal() {
    let output = run(&["--every", "20ms", "--for", "1s"]);

    let text = lines(&output.stdout);
    let row = |name: &str| text.iter().filter(|line| line.starts_with(name)).count();
    assert_eq!(row("without the layer"), 1, "{text:?}");
    assert!(text.iter().any(|line| line.contains("rejected early ")), "{text:?}");
    assert!(text.iter().all(|line| !line.contains('\x1b')), "colours are for terminals");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_with_the_summary() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;

    let closed = closed();
    let mut child = Command::new(program("poll"))
        .args(["--url", &closed.url, "--for", "30s", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the example can be run");
    let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    while !line.contains("\"failed\"") {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).expect("it can be read"), 0, "ended too soon");
    }

    let kill = Command::new("sh").arg("-c").arg(format!("kill -INT {}", child.id())).status();
    assert!(kill.expect("there is a shell").success());

    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("it can be read");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    let last: Value = serde_json::from_str(rest.lines().last().expect("there is a summary"))
        .expect("the summary is JSON");
    assert_eq!(last["event"], "summary");
}

#[tokio::test(start_paused = true)]
async fn the_default_run_shows_every_state_and_a_second_rung() {
    let clock = clock::Stopwatch::start();
    let site = std::sync::Mutex::new(Site::new());
    let answer = |_: http::Request<()>| {
        let now = clock.elapsed();
        let response =
            site.lock().expect("nobody panics").answer(now, SystemTime::UNIX_EPOCH + now);
        async { Ok::<http::Response<Full<Bytes>>, std::io::Error>(response) }
    };
    let backoff = RetryAfterBackoffLayer::builder()
        .ladder(Ladder::new(Duration::from_secs(1), Duration::from_secs(8)))
        .reopen_width(4)
        .build();
    let cooldowns = backoff.cooldowns();
    let mut client = ServiceBuilder::new()
        .layer(RefusalErrorLayer::new(&backoff))
        .layer(backoff)
        .service(service_fn(answer));
    let url = http::Uri::from_static("http://upstream.example/feed");
    let mut watch = Watch::new(Upstream::from_uri(&url));

    let mut told = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(250));
    while clock.elapsed() < Duration::from_secs(15) {
        ticks.tick().await;
        watch.started();
        let request = http::Request::get(&url).body(()).expect("a plain request");
        let call = client.ready().await.expect("always ready").call(request);
        told.extend(watch.look(cooldowns.get(&watch.upstream).as_ref(), None));
        let outcome = match call.await {
            Ok(response) => Outcome::Answered(response.status()),
            Err(Error::RateLimited(limited)) if limited.reason() == Reason::Refused => {
                Outcome::Refused(limited)
            }
            Err(Error::RateLimited(limited)) => Outcome::RejectedEarly(limited),
            Err(error) => Outcome::Failed(error.to_string()),
        };
        told.extend(watch.ended(&outcome));
        told.extend(watch.look(cooldowns.get(&watch.upstream).as_ref(), outcome.said()));
    }

    let words: Vec<&str> = told.iter().map(event::Event::word).collect();
    let first = ["ok", "refused", "rejected early", "probe", "reopening", "clear"];
    let second = ["refused", "rejected early", "probe"];
    let second_rung = ["refused", "rejected early", "probe", "reopening", "clear"];
    assert_eq!(words, [&first as &[&str], &second, &second_rung].concat());
    assert_eq!(
        told.iter()
            .map(ToString::to_string)
            .filter(|line| line.starts_with("HTTP 429"))
            .collect::<Vec<_>>(),
        [
            "HTTP 429, asks for 3s, cooling for 3s (rung 1): slow down (in seconds)",
            "HTTP 429, asks for 2s, cooling for 2s (rung 1): slow down (as a date)",
            "HTTP 429, asks for 1s, cooling for 2s (rung 2): slow down (in seconds)",
        ],
    );
}

#[test]
fn a_poller_that_does_not_listen_keeps_itself_shut_out() {
    let limit = Limit { requests: 2, window: secs(10), penalty: secs(3) };
    let mut limiter = Limiter::new(limit);

    let answers: Vec<bool> = (0..100).map(|now| limiter.request(secs(now)).is_ok()).collect();

    assert_eq!(answers.iter().filter(|&&answered| answered).count(), 2);
}

#[test]
fn who_stays_away_as_long_as_told_is_answered() {
    let limit = Limit { requests: 2, window: secs(10), penalty: secs(3) };
    let mut limiter = Limiter::new(limit);
    assert_eq!([limiter.request(secs(0)), limiter.request(secs(1))], [Ok(()), Ok(())]);

    assert_eq!(limiter.request(secs(2)), Err(TooEarly { wait: secs(8) }));
    assert_eq!(limiter.request(secs(9)), Err(TooEarly { wait: secs(3) }));
    assert_eq!(limiter.request(secs(12)), Ok(()));
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
