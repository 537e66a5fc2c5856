use proptest::prelude::*;

use super::*;

/// The places of some numbers.
#[derive(Debug)]
struct Kept(Vec<u32>);

impl Places for Kept {
    fn put(&mut self, index: u32, place: u32) {
        self.0[index as usize] = place;
    }
}

const NUMBERS: u32 = 60;

/// Whoever is asked for next is the first, and each is where it is said to be.
fn check(heap: &Heap, kept: &Kept) {
    assert_eq!(heap.first().map(|first| first.at), heap.entries.iter().map(|it| it.at).min());
    for (place, entry) in heap.entries.iter().enumerate() {
        assert_eq!(kept.0[entry.index as usize] as usize, place);
    }
    let placed = kept.0.iter().filter(|place| **place != NOWHERE).count();
    assert_eq!(placed, heap.len());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn numbers_come_in_order_of_their_times_whatever_is_moved_or_taken_out(
        script in proptest::collection::vec((0..NUMBERS, 0..3_u8, 0..100_u64), 1..300)
    ) {
        let (mut heap, mut kept) = (Heap::default(), Kept(vec![NOWHERE; NUMBERS as usize]));
        for (index, act, nanos) in script {
            let at = Moment::from_nanos(nanos);
            match (kept.0[index as usize], act) {
                (NOWHERE, _) => heap.insert(Entry { at, index, stamp: 0 }, &mut kept),
                (place, 0) => heap.remove(place, &mut kept),
                (place, _) => heap.change(place, at, &mut kept),
            }
            check(&heap, &kept);
        }

        let mut times = Vec::new();
        while let Some(first) = heap.first() {
            times.push(first.at);
            heap.remove(0, &mut kept);
            check(&heap, &kept);
        }
        prop_assert!(times.is_sorted());
    }
}

#[test]
fn a_place_that_nobody_has_is_let_be() {
    let mut heap = Heap::default();

    heap.remove(0, &mut Unkept);
    heap.change(NOWHERE, Moment::START, &mut Unkept);

    assert_eq!(heap.first(), None);
}

#[test]
fn memory_is_given_back() {
    let mut heap = Heap::default();
    for index in 0..1000 {
        heap.insert(Entry { at: Moment::START, index, stamp: 0 }, &mut Unkept);
    }

    for _ in 0..990 {
        heap.remove(0, &mut Unkept);
    }

    assert!(heap.entries.capacity() < 100, "{}", heap.entries.capacity());
}
