//! What a process sends that cannot be read is said, and no script ever stumbles.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::{Mutex, PoisonError};

use super::POLICY;
use super::stage::{CHANNEL, ENTRY, EPOCH, INDEX, NAME, PREFIX, REFUSED, Stage};

/// Events that can be read, without their policy.
const EVENTS: [&str; 11] = [
    "asked",
    "kept",
    "cleared",
    REFUSED,
    "refused 0 1 late 4 599 5 0.000000011920929",
    "exhausted 9007199254740992 0 place 0 5 1",
    "succeeded 0 0 probe 4294967295",
    "neutral 0 0 free 0",
    "dropped 0 0 place 0",
    "cooled 5",
    "restored -5 3 - 7 1",
];

fn words(events: &[String]) -> Vec<String> {
    let mut words = ["1", CHANNEL, NAME, "me", "epoch-1"].map(str::to_owned).to_vec();
    words.extend_from_slice(events);
    words
}

/// Neither script may answer so, whatever it was given.
fn stumbled(said: &str) -> bool {
    !said.contains("BADARGS") && !said.contains("BADDATA")
}

#[test]
fn each_event_can_be_read() {
    let Some(mut stage) = Stage::new() else { return };

    for event in EVENTS {
        assert!(stage.try_on(&[event]).is_ok(), "{event}");
    }
}

#[test]
fn an_event_with_a_word_less_or_more_or_another_is_said() {
    let Some(mut stage) = Stage::new() else { return };
    let before = stage.everything();

    for event in EVENTS {
        let whole = format!("{event} {POLICY}");
        let tokens: Vec<_> = whole.split(' ').collect();
        let mut wrong = vec![format!("{whole} 1"), format!(" {whole}"), format!("{whole} ")];
        wrong.push(whole.replacen(' ', "  ", 1));
        for index in 0..tokens.len() {
            for junk in ["", "x", "1e3", "0x1", "nan", "inf", "9007199254740994", "1\n", "-", "--1"]
            {
                let is_none = junk == "-";
                let mut tokens = tokens.clone();
                let was = tokens[index];
                tokens[index] = junk;
                // Where nothing may be said, or a share of that many digits, it is right.
                let may_be_none = event.starts_with("refused") && index == 6
                    || event.starts_with("restored") && (index == 3 || index == 4);
                if !(is_none && may_be_none) && was != junk {
                    wrong.push(tokens.join(" "));
                }
            }
            let mut tokens = tokens.clone();
            tokens.remove(index);
            wrong.push(tokens.join(" "));
        }
        for event in wrong {
            let said = stage
                .apply::<Vec<String>>(&[ENTRY, INDEX, EPOCH], &words(std::slice::from_ref(&event)))
                .expect_err(&event)
                .to_string();
            assert!(said.contains("BADARGS"), "{event}: {said}");
        }
    }

    assert_eq!(stage.everything(), before);
}

#[test]
fn one_event_that_cannot_be_read_keeps_the_others_from_being_applied() {
    let Some(mut stage) = Stage::new() else { return };

    let said = stage.try_on(&[REFUSED, "refused"]).unwrap_err();

    assert!(said.contains("BADARGS") && said.contains("event 2"), "{said}");
    assert!(stage.everything().is_empty());
}

#[test]
fn another_version_of_the_format_is_said() {
    let Some(mut stage) = Stage::new() else { return };
    for version in ["2", "0", "", "1.0", "x"] {
        let mut sent = words(&[]);
        version.clone_into(&mut sent[0]);
        let said = stage.apply::<Vec<String>>(&[ENTRY, INDEX, EPOCH], &sent).unwrap_err();
        assert!(said.to_string().contains("BADARGS"), "{said}");

        let said = stage
            .read::<Vec<String>>(&[INDEX, EPOCH], &[version, "0", "10", PREFIX, "e"])
            .unwrap_err();
        assert!(said.to_string().contains("BADARGS"), "{said}");
    }
}

#[test]
fn a_cursor_or_a_count_that_is_none_is_said() {
    let Some(mut stage) = Stage::new() else { return };
    let none = ["x", "99999999999999999999", " 1"];
    let cursors = none.map(|cursor| ["1", cursor, "10", PREFIX, "e"]);
    let counts = ["", "x", "-1", "0", "1.5"].map(|count| ["1", "0", count, PREFIX, "e"]);
    for sent in cursors.into_iter().chain(counts) {
        let said = stage.read::<Vec<String>>(&[INDEX, EPOCH], &sent).unwrap_err().to_string();
        assert!(said.contains("BADARGS"), "{sent:?}: {said}");
    }
    assert!(stage.everything().is_empty());
}

#[test]
fn an_id_that_would_break_the_line_is_said() {
    let Some(mut stage) = Stage::new() else { return };
    let long = "x".repeat(300);
    for id in ["", "-", "a b", "a\n", "\u{fc}", &long] {
        for place in [3, 4] {
            let mut sent = words(&[]);
            id.clone_into(&mut sent[place]);
            let said = stage.apply::<Vec<String>>(&[ENTRY, INDEX, EPOCH], &sent).unwrap_err();
            assert!(said.to_string().contains("BADARGS"), "{said}");
        }
    }
}

#[test]
fn as_many_events_as_come_are_answered() {
    let Some(mut stage) = Stage::new() else { return };

    let answer = stage.on(&vec!["asked"; 10_000]);

    assert_eq!(answer.effects.len(), 10_000);
}

/// What could stand where something else is expected.
fn junk() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(vec![
            "", " ", "-", "0", "1", "-1", "nan", "1e308", "9007199254740992", "9007199254740994",
            "free", "place", "probe", "%d", "%", "[", "\0", "\n", "asked", "refused", "\u{1f600}",
            "18446744073709551616", "cooled", "4294967296",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

/// Events, some of whose words are something else.
fn events() -> impl Strategy<Value = String> {
    let changes = vec((any::<prop::sample::Index>(), junk()), 0..3);
    prop_oneof![
        4 => (select(EVENTS.to_vec()), changes).prop_map(|(event, changes)| {
            let whole = format!("{event} {POLICY}");
            let mut tokens: Vec<_> = whole.split(' ').map(str::to_owned).collect();
            for (index, junk) in changes {
                let index = index.index(tokens.len());
                tokens[index] = junk;
            }
            tokens.join(" ")
        }),
        1 => vec(junk(), 0..16).prop_map(|words| words.join(" ")),
    ]
}

#[test]
fn no_argument_makes_a_script_stumble() {
    let Some(stage) = Stage::new() else { return };
    let stage = Mutex::new(stage);
    let head = ["1", CHANNEL, NAME, "me", "epoch-1"];
    let change = (any::<prop::sample::Index>(), junk());
    let keys = select(vec![
        vec![ENTRY, INDEX, EPOCH],
        vec![ENTRY, INDEX],
        vec![ENTRY],
        vec![],
        vec![ENTRY, INDEX, EPOCH, "{ns}:more"],
    ]);

    proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) }, |(
        keys in prop_oneof![8 => Just(vec![ENTRY, INDEX, EPOCH]), 1 => keys],
        change in proptest::option::weighted(0.2, change),
        events in vec(events(), 0..4),
        length in 0..8_usize,
    )| {
        let mut sent = head.map(str::to_owned).to_vec();
        if let Some((index, junk)) = change {
            let index = index.index(sent.len());
            sent[index] = junk;
        }
        sent.extend(events);
        sent.truncate(if length == 0 { 3 } else { sent.len() });
        let stage = &mut stage.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(said) = stage.apply::<Vec<String>>(&keys, &sent) {
            prop_assert!(!stumbled(&said.to_string()), "{}: {:?}", said, sent);
        }
        let pages: Vec<_> = sent.iter().map(String::as_str).collect();
        if let Err(said) = stage.read::<Vec<String>>(&keys, &pages) {
            prop_assert!(!stumbled(&said.to_string()), "{}: {:?}", said, pages);
        }
    });
}

#[test]
fn no_argument_of_the_full_read_makes_it_stumble() {
    let Some(stage) = Stage::new() else { return };
    let stage = Mutex::new(stage);

    proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) }, |(
        index in 0..5_usize,
        junk in junk(),
    )| {
        let mut sent = ["1", "0", "10", PREFIX, "e"];
        sent[index] = &junk;
        let stage = &mut stage.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(said) = stage.read::<Vec<String>>(&[INDEX, EPOCH], &sent) {
            prop_assert!(!stumbled(&said.to_string()), "{}: {:?}", said, sent);
        }
    });
}
