//! The full read.

use std::collections::BTreeSet;

use super::stage::{EPOCH, INDEX, Line, NAME, PREFIX, REFUSED, Stage};
use super::{POLICY, SECOND};

#[test]
fn an_empty_table_is_a_page_with_an_epoch() {
    let Some(mut stage) = Stage::new() else { return };

    let page: Vec<String> = stage.read(&[INDEX, EPOCH], &["1", "0", "100", PREFIX, "new"]).unwrap();

    assert_eq!((page.len(), page[0].as_str()), (2, "0"));
    assert!(page[1].starts_with("new 0 "), "{}", page[1]);
    assert_eq!(stage.command::<String>(&["HGET", EPOCH, "id"]), "new");
    assert_eq!(stage.command::<Vec<String>>(&["KEYS", "*"]), [EPOCH]);
}

#[test]
fn every_entry_is_told_as_its_own_script_tells_it() {
    let Some(mut stage) = Stage::new() else { return };
    stage.reopen("a");
    let asked = stage.by("a", &["asked"]).line;

    let page: Vec<String> = stage.read(&[INDEX, EPOCH], &["1", "0", "100", PREFIX, "e"]).unwrap();

    let line = Line::read(&page[2]);
    let same = "v epoch number phase gate ends began rung status hint by_hand generation probe \
                width in_flight holder name";
    assert_eq!(line.words(same), asked.words(same));
    assert_eq!(line.words("mine by"), "0 -");
    assert!(page[1].ends_with(line.word("now")), "{}", page[1]);
}

#[test]
fn all_pages_together_tell_of_every_upstream() {
    let Some(mut stage) = Stage::new() else { return };
    let names: BTreeSet<_> = (0..500).map(|number| format!("named:{number} x\ny")).collect();
    for name in &names {
        let words = ["1", "news", name, "me", "e", &format!("{REFUSED} {POLICY}")];
        let key = format!("{PREFIX}{name}");
        let words = words.map(str::to_owned);
        let _: Vec<String> = stage.apply(&[&key, INDEX, EPOCH], &words).unwrap();
    }

    let (mut cursor, mut told, mut pages) = ("0".to_owned(), BTreeSet::new(), 0);
    loop {
        let page: Vec<String> =
            stage.read(&[INDEX, EPOCH], &["1", &cursor, "50", PREFIX, "e"]).unwrap();
        told.extend(page[2..].iter().map(|line| Line::read(line).word("name").to_owned()));
        pages += 1;
        cursor.clone_from(&page[0]);
        if cursor == "0" {
            break;
        }
    }

    assert_eq!(told, names);
    assert!(pages > 5, "{pages} pages");
}

#[test]
fn the_full_read_shows_times_as_they_are_after_a_step_of_the_clock() {
    let Some(mut stage) = Stage::new() else { return };
    stage.on(&[REFUSED]);
    for field in ["gate", "ends", "began", "at"] {
        let value = stage.kept(field) + 3600 * SECOND;
        stage.set(field, value);
    }
    let before = stage.everything();

    let page: Vec<String> = stage.read(&[INDEX, EPOCH], &["1", "0", "100", PREFIX, "e"]).unwrap();

    let line = Line::read(&page[2]);
    assert_eq!(line.number("gate"), line.number("now") + 60 * SECOND);
    assert_eq!(line.word("name"), NAME);
    assert_eq!(stage.everything(), before);
}

#[test]
fn keys_of_another_type_are_said() {
    for key in [INDEX, EPOCH] {
        let Some(mut stage) = Stage::new() else { return };
        let _: String = stage.command(&["SET", key, "x"]);

        let said = stage
            .read::<Vec<String>>(&[INDEX, EPOCH], &["1", "0", "100", PREFIX, "e"])
            .unwrap_err()
            .to_string();

        assert!(said.contains("BADDATA") && said.contains("wrong type"), "{said}");
        assert_eq!(stage.command::<Vec<String>>(&["KEYS", "*"]), [key]);
    }
}
