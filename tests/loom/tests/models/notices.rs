//! The lock-free notice is that of one state, whole.

use std::collections::BTreeSet;

use tower_retry_after_loom::board::{Board, Sample};
use tower_retry_after_loom::race::{endings, endings_within, race};

#[test]
fn a_reader_sees_the_old_state_or_the_new_one_or_that_a_writer_is_at_it() {
    let endings = endings(|| {
        let board = Board::new(Sample(1));
        let writer = board.clone();

        let ((), read) = race(move || writer.write(Sample(2)), || board.read());

        assert_eq!(board.read(), Some(Sample(2)));
        read
    });

    assert_eq!(endings, BTreeSet::from([None, Some(Sample(1)), Some(Sample(2))]));
}

#[test]
fn a_reader_never_mixes_the_states_of_two_writers() {
    let endings = endings_within(2, || {
        let board = Board::new(Sample(1));
        let (first, second) = (board.clone(), board.clone());

        let ((), ((), read)) = race(
            move || first.write(Sample(2)),
            || race(move || second.write(Sample(3)), || board.read()),
        );

        read
    });

    let samples = [Sample(1), Sample(2), Sample(3)].map(Some);
    assert_eq!(endings, samples.into_iter().chain([None]).collect());
}

#[test]
fn a_notice_of_a_cleared_state_is_none() {
    let endings = endings(|| {
        let board = Board::new(Sample(1));
        let writer = board.clone();

        let ((), read) = race(move || writer.wipe(), || board.read());

        assert_eq!(board.read(), None);
        read
    });

    assert_eq!(endings, BTreeSet::from([None, Some(Sample(1))]));
}
