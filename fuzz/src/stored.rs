//! Whatever reads stored text: snapshots, and the states and books in them.

use std::error::Error;
use std::fmt::Debug;
use std::time::{Duration, SystemTime};

use tower_retry_after::schedule::{PeerBook, Snapshot, SyncState, TargetRecord};
use tower_retry_after::{Ladder, RetryAfterBackoffLayer};

use crate::wire::in_virtual_time;

/// Stands for a password in the seeds.
const SECRET: &[u8] = b"s3cr3t";

/// [`Snapshot::from_json`], and the serde of what it is made of.
pub fn snapshot(data: &[u8]) {
    match Snapshot::from_json(data) {
        Ok(snapshot) => {
            written_and_read(&snapshot);
            taken_over(&snapshot);
        }
        Err(error) => said(data, &error),
    }
    part::<SyncState>(data);
    part::<PeerBook>(data);
    part::<TargetRecord>(data);
    part::<Ladder>(data);
}

/// What was read is written and read again as it is.
fn written_and_read(snapshot: &Snapshot) {
    let json = snapshot.to_json();
    let again = Snapshot::from_json(&json).unwrap_or_else(|error| panic!("{error} in {json}"));
    assert_eq!(&again, snapshot);
    assert_eq!(again.to_json(), json);
}

/// A table takes over what was kept, within its bounds.
fn taken_over(snapshot: &Snapshot) {
    const MOST: usize = 3;
    let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
    let times = [0, 1_769_860_800, 4_102_444_800].map(Duration::from_secs);
    for time in times.map(|since| SystemTime::UNIX_EPOCH + since) {
        in_virtual_time(async {
            let layer = RetryAfterBackoffLayer::builder()
                .max_upstreams(MOST)
                .max_retry_after(hour)
                .ladder(Ladder::new(minute, minute))
                .build();
            let cooldowns = layer.cooldowns();
            snapshot.restore_cooldowns_at(&layer, time);
            let kept = cooldowns.len();
            assert!(kept <= MOST, "{kept} are kept of {MOST}");
            let all = cooldowns.snapshot();
            assert_eq!(all.iter().count(), kept);

            // Not `taken` itself: what ended before 1970 is written as of then.
            let json = Snapshot::new().with_cooldowns_at(&cooldowns, time).to_json();
            written_and_read(&Snapshot::from_json(&json).expect("it was written"));
            for info in &all {
                let by_hand = json.contains("\"by_hand\": true");
                assert!(by_hand || info.retry_after() <= hour, "longer than any: {info:?}");
            }
            // Given once more, it knows no more than before.
            snapshot.restore_cooldowns_at(&layer, time);
            assert!(cooldowns.len() <= MOST);
            for info in &all {
                if let Some(now) = cooldowns.get(info.upstream()) {
                    assert!(now.until() >= info.until(), "{info:?} has become {now:?}");
                }
            }
        });
    }
}

/// What is said of a text that cannot be read is short, printable and keeps its secrets.
fn said(data: &[u8], error: &dyn Error) {
    let text = error.to_string();
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(text.chars().count() < 1000, "{text}");
    if is_all_credentials(data) {
        let shown = text.as_bytes().windows(SECRET.len()).any(|part| part == SECRET);
        assert!(!shown, "{text}");
    }
}

/// The secret is in the text, and each time as a password in the URL of somebody.
fn is_all_credentials(data: &[u8]) -> bool {
    let mut found = false;
    for (at, part) in data.windows(SECRET.len()).enumerate() {
        if part == SECRET {
            found = true;
            let is_password = data[..at].ends_with(b"//me:");
            if !is_password || !data[at + SECRET.len()..].starts_with(b"@peer.example") {
                return false;
            }
        }
    }
    found
}

fn part<T>(data: &[u8])
where
    T: serde::de::DeserializeOwned + serde::Serialize + PartialEq + Debug,
{
    match serde_json::from_slice::<T>(data) {
        Ok(part) => {
            let json = serde_json::to_string(&part).expect("it was read");
            let again: T = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(again, part);
        }
        Err(error) => drop(error.to_string()),
    }
}
