//! What is left where a save stops after any of its steps, or others come in between:
//! over a disk that forgets what was not brought to it.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "for tests")]

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;

use super::*;

const PATH: &str = "folder/state.json";
const OLD: &str = "the old text";
const NEW: &str = "the new text";
const FOREIGN: &str = "what somebody else wrote";

/// The names in the folder, each with its file's number.
type Names = BTreeMap<PathBuf, usize>;

/// What can be read under each name.
type View = BTreeMap<PathBuf, Vec<u8>>;

/// What others do in between.
type Meanwhile = fn(&mut State);

/// A disk that stops after so many steps, as if the process were killed or the power
/// cut.
struct Fake {
    has_links: bool,
    stops_after: usize,
    meanwhile: Option<(usize, Meanwhile)>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    steps: usize,
    names: Names,
    /// The names that a power cut cannot take away any more.
    synced: Names,
    /// The changes since: a power cut may lose each of them.
    unsynced: Vec<Vec<(PathBuf, Option<usize>)>>,
    files: Vec<Contents>,
}

#[derive(Default)]
struct Contents {
    text: Vec<u8>,
    synced: Vec<u8>,
}

impl State {
    fn change(&mut self, change: Vec<(PathBuf, Option<usize>)>) {
        apply(&mut self.names, &change);
        self.unsynced.push(change);
    }

    /// Puts a file there that is on the disk already.
    fn put(&mut self, path: &str, text: &str) {
        let text = text.as_bytes().to_vec();
        self.files.push(Contents { text: text.clone(), synced: text });
        let number = self.files.len() - 1;
        self.names.insert(path.into(), number);
        self.synced.insert(path.into(), number);
    }
}

fn apply(names: &mut Names, change: &[(PathBuf, Option<usize>)]) {
    for (path, number) in change {
        match number {
            Some(number) => names.insert(path.clone(), *number),
            None => names.remove(path),
        };
    }
}

impl Fake {
    fn new(old: Option<&str>) -> Self {
        let fake = Self {
            has_links: true,
            stops_after: usize::MAX,
            meanwhile: None,
            state: RefCell::default(),
        };
        if let Some(old) = old {
            fake.state.borrow_mut().put(PATH, old);
        }
        fake
    }

    fn replace(&self) -> io::Result<()> {
        let ours = |text: &[u8]| text == OLD.as_bytes() || text == NEW.as_bytes();
        replace_on(self, Path::new(PATH), NEW.as_bytes(), ours)
    }

    fn step(&self) -> io::Result<RefMut<'_, State>> {
        let mut state = self.state.borrow_mut();
        if state.steps == self.stops_after {
            return Err(io::Error::other("stopped"));
        }
        if let Some((step, meanwhile)) = self.meanwhile
            && step == state.steps
        {
            meanwhile(&mut state);
        }
        state.steps += 1;
        Ok(state)
    }

    fn steps(&self) -> usize {
        self.state.borrow().steps
    }

    /// What everybody sees.
    fn seen(&self) -> View {
        let state = self.state.borrow();
        view(&state.names, |number| state.files[number].text.clone())
    }

    /// All that may be there after a power cut: what is not synced is there or not.
    fn after_power_cuts(&self) -> Vec<View> {
        let state = self.state.borrow();
        (0..1_u32 << state.unsynced.len())
            .map(|kept| {
                let mut names = state.synced.clone();
                for (index, change) in state.unsynced.iter().enumerate() {
                    if kept >> index & 1 == 1 {
                        apply(&mut names, change);
                    }
                }
                view(&names, |number| state.files[number].synced.clone())
            })
            .collect()
    }
}

fn view(names: &Names, text: impl Fn(usize) -> Vec<u8>) -> View {
    names.iter().map(|(path, number)| (path.clone(), text(*number))).collect()
}

fn missing() -> io::Error {
    ErrorKind::NotFound.into()
}

impl Disk for Fake {
    type File = usize;
    type Old = ();

    fn old(&self, path: &Path) -> io::Result<Option<()>> {
        Ok(self.state.borrow().names.get(path).map(|_| ()))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.seen().remove(path).ok_or_else(missing)
    }

    fn files(
        &self,
        _: &Path,
        wanted: impl Fn(&OsStr) -> bool,
    ) -> io::Result<Vec<(SystemTime, PathBuf)>> {
        let mut names: Vec<PathBuf> = self.seen().into_keys().collect();
        names.retain(|path| wanted(path.file_name().unwrap()));
        Ok(names.into_iter().map(|path| (SystemTime::UNIX_EPOCH, path)).collect())
    }

    fn create(&self, path: &Path, _: Option<&()>) -> io::Result<usize> {
        let mut state = self.step()?;
        if state.names.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        state.files.push(Contents::default());
        let number = state.files.len() - 1;
        state.change(vec![(path.to_owned(), Some(number))]);
        Ok(number)
    }

    /// In two steps: somebody may be killed in the midst.
    fn write(&self, file: &mut usize, text: &[u8]) -> io::Result<()> {
        let (first, second) = text.split_at(text.len() / 2);
        for part in [first, second] {
            self.step()?.files[*file].text.extend_from_slice(part);
        }
        Ok(())
    }

    fn take_after(&self, _: &usize, (): &()) -> io::Result<()> {
        self.step().map(drop)
    }

    fn sync(&self, file: &usize) -> io::Result<()> {
        let mut state = self.step()?;
        state.files[*file].synced = state.files[*file].text.clone();
        Ok(())
    }

    fn link(&self, path: &Path, name: &Path) -> io::Result<()> {
        let mut state = self.step()?;
        if !self.has_links {
            return Err(ErrorKind::PermissionDenied.into());
        }
        let number = *state.names.get(path).ok_or_else(missing)?;
        if state.names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        state.change(vec![(name.to_owned(), Some(number))]);
        Ok(())
    }

    fn rename(&self, path: &Path, name: &Path) -> io::Result<()> {
        let mut state = self.step()?;
        let number = *state.names.get(path).ok_or_else(missing)?;
        state.change(vec![(path.to_owned(), None), (name.to_owned(), Some(number))]);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.step()?;
        state.names.get(path).ok_or_else(missing)?;
        state.change(vec![(path.to_owned(), None)]);
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        let mut state = self.step()?;
        state.synced = state.names.clone();
        state.unsynced.clear();
        Ok(())
    }
}

fn at<'a>(view: &'a View, path: &str) -> Option<&'a [u8]> {
    view.get(Path::new(path)).map(Vec::as_slice)
}

/// Returns whether that text is there, in its place or kept beside it.
fn has(view: &View, text: &str) -> bool {
    let kept = format!("{PATH}.kept-1");
    [PATH, &kept].iter().any(|path| at(view, path) == Some(text.as_bytes()))
}

/// Checks what is left: the old file or the new one, whole, and what somebody else
/// wrote in any case.
fn check(view: &View, old: Option<&str>, why: &str) {
    let there = at(view, PATH);
    assert!(there == old.map(str::as_bytes) || there == Some(NEW.as_bytes()), "{why}: {view:?}");
    assert!(old != Some(FOREIGN) || has(view, FOREIGN), "{why}: {view:?}");
}

#[test]
fn whoever_stops_after_any_step_leaves_the_old_file_or_the_new_one_whole() {
    for (old, has_links) in
        [None, Some(OLD), Some(FOREIGN)].into_iter().flat_map(|old| [(old, true), (old, false)])
    {
        let whole = Fake { has_links, ..Fake::new(old) };
        whole.replace().unwrap();
        assert!(whole.steps() > 5);
        for stops_after in 0..=whole.steps() {
            let fake = Fake { has_links, stops_after, ..Fake::new(old) };
            let done = fake.replace();

            let why = format!("{old:?}, links {has_links}, stopped after {stops_after}");
            check(&fake.seen(), old, &why);
            for view in fake.after_power_cuts() {
                check(&view, old, &why);
                // What was said to be saved is.
                assert!(
                    done.is_err() || at(&view, PATH) == Some(NEW.as_bytes()),
                    "{why}: {view:?}"
                );
            }
        }
        let left = whole.seen().len();
        assert_eq!(left, 1 + usize::from(old == Some(FOREIGN)), "{:?}", whole.seen());
    }
}

#[test]
fn a_file_that_appears_meanwhile_is_not_lost() {
    let appear: Meanwhile = |state| state.put(PATH, FOREIGN);
    let most = |old| {
        let whole = Fake::new(old);
        whole.replace().unwrap();
        whole.steps()
    };
    // Where there was one, up to the last look at it: to rename, and to see what is
    // replaced, is not one step.
    for (old, steps) in [(None, most(None)), (Some(OLD), 5)] {
        for step in 0..steps {
            let fake = Fake { meanwhile: Some((step, appear)), ..Fake::new(old) };
            fake.replace().unwrap();
            assert!(has(&fake.seen(), FOREIGN), "{old:?}, step {step}: {:?}", fake.seen());
        }
    }
}

#[test]
fn a_save_whose_temporary_file_others_removed_begins_anew() {
    let remove: Meanwhile = |state| {
        let is_temporary = |path: &Path| path.to_string_lossy().ends_with(TEMPORARY);
        state.names.retain(|path, _| !is_temporary(path));
    };
    for old in [None, Some(OLD), Some(FOREIGN)] {
        for step in 0..10 {
            let fake = Fake { meanwhile: Some((step, remove)), ..Fake::new(old) };
            fake.replace().unwrap();
            let seen = fake.seen();
            assert_eq!(at(&seen, PATH), Some(NEW.as_bytes()), "{old:?}, step {step}: {seen:?}");
        }
    }
}
