use super::*;

mod crashes;

#[test]
fn only_names_of_our_own_making_are_taken_for_temporary_files() {
    let of = OsStr::new("state.json");
    let is = |name: &str| is_temporary(OsStr::new(name), of);

    assert!(is(".state.json.0123456789abcdef.saving"));
    for other in [
        "state.json",
        ".state.json.saving",
        ".state.json.0123456789abcde.saving",
        ".state.json.0123456789abcdeg.saving",
        ".state.json.0123456789abcdef.saving.kept",
        ".other.json.0123456789abcdef.saving",
        "state.json.0123456789abcdef.saving",
        ".saving",
        "",
    ] {
        assert!(!is(other), "{other}");
    }
}

#[test]
fn a_file_without_a_folder_lies_in_the_working_folder() {
    assert_eq!(folder(Path::new("state.json")), Path::new("."));
    assert_eq!(folder(Path::new("/state.json")), Path::new("/"));
    assert!(stem(Path::new("..")).is_err());
}
