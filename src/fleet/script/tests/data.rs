//! What is wrong in Redis is said, and stays as it is.

use super::stage::{CHANNEL, ENTRY, EPOCH, INDEX, NAME, PREFIX, REFUSED, Stage};

/// Values that are no number, or none that can be meant.
const ABSURD: [&str; 13] = [
    "",
    "x",
    "-1",
    "nan",
    "inf",
    "-inf",
    "1e3",
    "0x10",
    " 1",
    "1 ",
    "1.5",
    "9007199254740994",
    "99999999999999999999",
];

/// The same for a share.
const NO_SHARE: [&str; 9] = ["", "x", "-0.5", "1.1", "nan", "inf", "1e999", "0x1p-1", " 0"];

/// Every script says that this is wrong, and changes nothing.
fn expect(stage: &mut Stage, what: &str, where_: &str) {
    let before = stage.everything();
    for events in [&["asked"][..], &[REFUSED], &["cleared"], &["kept"], &[]] {
        let said = stage.try_on(events).unwrap_err();
        assert!(said.contains("BADDATA"), "{said}");
        assert!(said.contains(&format!("{what} in the {where_}")), "{said}");
    }
    assert_eq!(stage.everything(), before);
}

/// A whole entry, Reopening, with a place taken.
fn stage_with_entry() -> Option<Stage> {
    let mut stage = Stage::new()?;
    stage.reopen("a");
    stage.by("a", &["asked"]);
    Some(stage)
}

#[test]
fn a_key_of_another_type_is_said_and_left_alone() {
    for (key, where_) in [(ENTRY, "entry"), (EPOCH, "epoch"), (INDEX, "index")] {
        let Some(mut stage) = Stage::new() else { return };
        let _: i64 = stage.command(&["RPUSH", key, "x"]);

        expect(&mut stage, "wrong type", where_);
    }
}

#[test]
fn an_entry_of_another_version_is_said_and_left_alone() {
    let Some(mut stage) = stage_with_entry() else { return };
    for version in ["2", "1.0", "", "x"] {
        stage.set("v", version);

        expect(&mut stage, "version", "entry");
    }
}

#[test]
fn a_field_that_is_missing_is_said() {
    let fields = "v phase gate ends began rung status hint stretch by_hand generation number probe \
                  width in_flight holder at wanted";
    for field in fields.split_whitespace() {
        let Some(mut stage) = stage_with_entry() else { return };
        let _: i64 = stage.command(&["HDEL", ENTRY, field]);

        expect(&mut stage, "garbage", "entry");
    }
}

#[test]
fn a_field_that_cannot_be_meant_is_said() {
    let Some(mut stage) = stage_with_entry() else { return };
    let numbers = "gate ends began rung generation number probe width in_flight at wanted";
    let mut cases: Vec<_> =
        numbers.split_whitespace().flat_map(|field| ABSURD.map(|value| (field, value))).collect();
    cases.extend(NO_SHARE.map(|value| ("stretch", value)));
    cases.extend(["", "open", "clear", "none", "Cooling"].map(|value| ("phase", value)));
    cases.extend(["", "2", "true"].map(|value| ("by_hand", value)));
    cases.extend(["99", "1000", "x", "-1"].map(|value| ("status", value)));
    cases.extend(["x", "-1", "nan", "-"].map(|value| ("hint", value)));
    cases.extend(["a b", "-", "a\nb", "\u{e9}"].map(|value| ("holder", value)));
    cases.extend(["rung", "probe", "width", "in_flight"].map(|field| (field, "4294967296")));
    cases.extend(
        ["", "1", "4294967296 1", "1 2 3", "x 1", "1 x", "-1 1", "1 nan"]
            .map(|value| ("p:b", value)),
    );

    for (field, value) in cases {
        let right = stage.field(field);
        stage.set(field, value);
        expect(&mut stage, "garbage", "entry");
        match right {
            Some(right) => stage.set(field, right),
            None => {
                let _: i64 = stage.command(&["HDEL", ENTRY, field]);
            }
        }
    }
    assert!(stage.try_on(&["asked"]).is_ok());
}

#[test]
fn an_epoch_that_cannot_be_read_is_said() {
    for (id, number) in [("", "1"), ("a b", "1"), ("-", "1"), ("e", "x"), ("e", "-1"), ("e", "")] {
        let Some(mut stage) = Stage::new() else { return };
        let _: i64 = stage.command(&["HSET", EPOCH, "id", id, "number", number]);

        expect(&mut stage, "garbage", "epoch");
    }
}

#[test]
fn numbers_that_have_no_next_are_said() {
    let Some(mut stage) = stage_with_entry() else { return };
    stage.set("number", 1_u64 << 53);
    let before = stage.everything();

    let said = stage.try_on(&["asked"]).unwrap_err();

    assert!(said.contains("garbage in a number"), "{said}");
    assert_eq!(stage.everything(), before);
}

#[test]
fn a_missing_epoch_is_made_and_one_that_is_there_stays() {
    let Some(mut stage) = Stage::new() else { return };

    assert_eq!(stage.on(&["asked"]).line.words("epoch number"), "epoch-1 0");
    let _: i64 = stage.command(&["HSET", EPOCH, "id", "another", "number", "7"]);
    assert_eq!(stage.on(&["asked"]).line.words("epoch number"), "another 7");
    assert_eq!(stage.on(&[REFUSED]).line.words("epoch number"), "another 8");
}

#[test]
fn the_full_read_shows_what_is_wrong_and_goes_on() {
    let Some(mut stage) = stage_with_entry() else { return };
    let bad = [("type", "wrong-type"), ("junk", "garbage"), ("v 2", "version"), ("gone", "")];
    for (name, _) in bad {
        let _: i64 = stage.command(&["ZADD", INDEX, "9e15", name]);
    }
    let _: i64 = stage.command(&["RPUSH", "{ns}:u:type", "x"]);
    let _: i64 = stage.command(&["HSET", "{ns}:u:junk", "x", "y"]);
    let _: i64 = stage.command(&["HSET", "{ns}:u:v 2", "v", "2"]);
    let before = stage.everything();

    let (_, lines): (String, Vec<String>) = {
        let all: Vec<String> =
            stage.read(&[INDEX, EPOCH], &["1", "0", "100", PREFIX, "e"]).unwrap();
        (all[0].clone(), all[2..].to_vec())
    };

    let mut told: Vec<_> = lines
        .iter()
        .map(|line| {
            let line = super::stage::Line::read(line);
            assert_eq!(line.words("v epoch mine"), "1 epoch-1 0");
            line.words("number phase gate status holder by name")
        })
        .collect();
    told.sort();
    let mut expected = vec![format!("3 reopening 0 429 a - {NAME}")];
    expected.extend(
        bad.iter()
            .filter(|(_, what)| !what.is_empty())
            .map(|(name, what)| format!("0 bad 0 - - {what} {name}")),
    );
    expected.sort();
    assert_eq!(told, expected);
    assert_eq!(stage.everything(), before);
}

#[test]
fn nothing_is_published_of_what_is_wrong() {
    let Some(mut stage) = stage_with_entry() else { return };
    stage.set("gate", "x");

    let published = stage.published(|stage| {
        stage.try_on(&[REFUSED]).unwrap_err();
    });

    assert_eq!(published, [], "on {CHANNEL}");
}
