//! Levels and counts from edges, with lost ones, against the truth.

use proptest::prelude::*;

use super::super::kernel::Edge;
use super::super::settings::Count;
use super::super::watch::Watch;
use super::super::wiring::Edges;
use crate::value::UaTime;

fn edge(is_rising: bool, number: u32, time: i64) -> Edge {
    Edge { is_rising, time: UaTime(time), number }
}

#[test]
fn edges_that_are_missing_are_counted_by_their_kind() {
    //  level before   edge, its number   rising, falling, a gap
    for (before, is_rising, number, wanted) in [
        (false, true, 1, (1, 0, false)),
        (true, false, 1, (0, 1, false)),
        // Two were lost: up and down.
        (false, true, 3, (2, 1, true)),
        (true, true, 2, (1, 1, true)),
        // A pulse that was shorter than the kernel's look at the level.
        (false, false, 1, (1, 1, true)),
        (true, true, 1, (1, 1, true)),
        (false, true, 2, (2, 1, true)),
    ] {
        let mut watch = Watch::new(Edges::both());
        watch.read(before);
        let seen = watch.edge(edge(is_rising, number, 5));
        assert_eq!((seen.rising, seen.falling, seen.has_gap), wanted, "{before} {is_rising} {number}");
        assert_eq!(watch.level(), Some(is_rising));
    }
}

#[test]
fn a_level_that_differs_from_the_edges_counts_when_it_is_read_twice() {
    let mut watch = Watch::new(Edges::both());
    assert_eq!(watch.read(false).map(|seen| (seen.level, seen.has_gap)), Some((false, false)));
    assert_eq!(watch.read(false), None);
    assert_eq!((watch.read(true), watch.is_in_doubt()), (None, true));
    // The edge was on its way.
    let seen = watch.edge(edge(true, 1, 7));
    assert_eq!((seen.rising, seen.has_gap, watch.is_in_doubt()), (1, false, false));
    assert_eq!(watch.read(true), None);
    assert_eq!(watch.read(false), None);
    let seen = watch.read(false).expect("a change without an edge");
    assert_eq!((seen.level, seen.falling, seen.has_gap), (false, 1, true));
    // An output has no edges: each difference is a change.
    let mut output = Watch::new(Edges::default());
    output.read(false);
    assert_eq!(output.read(true).map(|seen| (seen.level, seen.has_gap)), Some((true, false)));
    output.forget();
    assert!(output.read(true).is_some(), "after a fault the level is shown again");
}

#[test]
fn times_keep_their_order_unless_the_clock_was_set() {
    let mut watch = Watch::new(Edges::both());
    let second = 10_000_000;
    for (time, wanted) in [(5 * second, 5 * second), (5 * second - 9, 5 * second), (2 * second, 2 * second)] {
        let number = u32::try_from(time).unwrap_or(1);
        assert_eq!(watch.edge(edge(true, number, time)).time, Some(UaTime(wanted)));
    }
}

proptest! {
    #[test]
    fn counts_are_exact_and_levels_right_whatever_the_kernel_drops(
        start in any::<bool>(),
        kept in prop::collection::vec(any::<bool>(), 1..200),
        first in any::<u32>(),
    ) {
        let mut watches = [Watch::new(Edges::both()), Watch::new(Edges { rising: true, falling: false })];
        for watch in &mut watches {
            // The number runs over at the end of 32 bits.
            watch.edge(edge(start, first, 0));
        }
        let (mut level, mut counts, mut rises) = (start, [0_u64; 3], 0_u64);
        let (mut all, mut number, mut rise) = ([0_u64; 3], first, first);
        for is_kept in kept.into_iter().chain([true, true]) {
            level = !level;
            number = number.wrapping_add(1);
            all[0] += u64::from(level);
            all[1] += u64::from(!level);
            all[2] += 1;
            if level {
                rise = rise.wrapping_add(1);
            }
            if !is_kept {
                continue;
            }
            let seen = watches[0].edge(edge(level, number, 1));
            prop_assert_eq!(watches[0].level(), Some(level));
            for (count, kind) in counts.iter_mut().zip([Count::Rising, Count::Falling, Count::Both]) {
                *count += seen.count(kind);
            }
            prop_assert_eq!(counts, all);
            if level {
                rises += watches[1].edge(edge(true, rise, 1)).rising;
                prop_assert_eq!(rises, all[0]);
            }
        }
    }
}
