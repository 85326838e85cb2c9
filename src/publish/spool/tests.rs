//! The buffer: order, limits, and files that are cut anywhere.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::segment::{MAGIC, read};
use super::{Record, Spool};
use crate::publish::fingerprint::Fingerprint;

fn record(number: u32) -> Record {
    let [destination, meaning] = [7, u64::from(number)].map(Fingerprint);
    let payload = format!("{{\"value\":{number}}}").into_bytes();
    Record { destination, meaning, topic: format!("t/{}", number % 3), payload }
}

fn records(numbers: std::ops::Range<u32>) -> Vec<Record> {
    numbers.map(record).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

fn sent(spool: &mut Spool) -> Vec<Record> {
    spool.next(usize::MAX).into_iter().map(|numbered| numbered.record).collect()
}

#[test]
fn records_come_back_in_their_order_until_they_are_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = Spool::open(folder.path(), 1 << 20).expect("opened");
    spool.append(&records(0..10)).expect("kept");
    let first = spool.next(4);
    assert_eq!(first.iter().map(|numbered| numbered.number).collect::<Vec<_>>(), [0, 1, 2, 3]);
    spool.append(&records(10..12)).expect("kept");
    assert_eq!(sent(&mut spool), records(4..12));
    assert!(spool.is_drained());
    // Out of order, and one twice.
    [1, 0, 3, 3].into_iter().for_each(|number| spool.acknowledge(number));
    assert_eq!(spool.len(), 9);
    spool.rewind();
    assert_eq!(sent(&mut spool), [records(2..3), records(4..12)].concat());
    (0..12).for_each(|number| spool.acknowledge(number));
    assert_eq!((spool.len(), spool.bytes(), files(folder.path()).len()), (0, 0, 0));
    spool.append(&records(0..1)).expect("kept");
    assert_eq!((sent(&mut spool), spool.next_number()), (records(0..1), 13));
}

#[test]
fn records_that_are_on_their_way_are_not_sent_twice_on_one_connection() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = Spool::open(folder.path(), 1 << 20).expect("opened");
    spool.append(&records(0..5)).expect("kept");
    spool.skip_to(3);
    assert_eq!(sent(&mut spool), records(3..5));
    spool.acknowledge(1);
    spool.rewind();
    assert_eq!(sent(&mut spool), [records(0..1), records(2..5)].concat());
}

#[test]
fn above_the_limit_the_oldest_are_dropped_and_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let limit = 64 << 10;
    let mut spool = Spool::open(folder.path(), limit).expect("opened");
    for batch in 0..100 {
        spool.append(&records(batch * 100..batch * 100 + 100)).expect("kept");
        let on_disk: u64 = files(folder.path()).iter().map(|path| fs::metadata(path).expect("a file").len()).sum();
        assert!(on_disk <= limit && on_disk == spool.bytes(), "{on_disk} bytes, {} counted", spool.bytes());
    }
    let kept = u32::try_from(spool.len()).expect("few");
    assert_eq!(u64::from(kept) + spool.take_dropped(), 10_000);
    assert!(kept > 1_000, "{kept}");
    assert_eq!(sent(&mut spool), records(10_000 - kept..10_000), "the newest");
    // One that is larger than all is dropped alone.
    let large = Record { payload: vec![0; 65 << 10], ..record(0) };
    spool.append(&[record(1), large, record(2)]).expect("kept");
    assert_eq!((sent(&mut spool), spool.take_dropped()), (vec![record(1), record(2)], 1));
    spool.set_limit(0);
    assert_eq!((spool.len(), files(folder.path()).len()), (0, 0));
    spool.append(&records(0..3)).expect("none is kept");
    assert_eq!((spool.len(), files(folder.path()).len()), (0, 0));
}

#[test]
fn a_file_that_is_cut_at_any_byte_gives_its_whole_records() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = Spool::open(folder.path(), 1 << 20).expect("opened");
    spool.append(&records(0..8)).expect("kept");
    drop(spool);
    let path = files(folder.path()).remove(0);
    let bytes = fs::read(&path).expect("read");
    let mut ends = vec![MAGIC.len()];
    for number in 0..8 {
        ends.push(ends[ends.len() - 1] + record(number).size());
    }
    assert_eq!(ends[8], bytes.len());
    for cut in 0..=bytes.len() {
        files(folder.path()).iter().for_each(|path| fs::remove_file(path).expect("removed"));
        fs::write(&path, &bytes[..cut]).expect("written");
        let whole = u32::try_from(ends.iter().filter(|end| **end <= cut).count().saturating_sub(1)).expect("few");
        let mut spool = Spool::open(folder.path(), 1 << 20).expect("opened");
        spool.append(&records(100..102)).expect("kept");
        assert_eq!(sent(&mut spool), [records(0..whole), records(100..102)].concat(), "cut at {cut}");
        drop(spool);
        let mut again = Spool::open(folder.path(), 1 << 20).expect("opened");
        assert_eq!(sent(&mut again), [records(0..whole), records(100..102)].concat(), "cut at {cut}, again");
    }
    // A byte that was changed ends its file.
    for at in (0..bytes.len()).step_by(3) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        let content = read(&bytes);
        let before = ends.iter().filter(|end| **end <= at).count().saturating_sub(1);
        assert_eq!(content.records, records(0..u32::try_from(before).expect("few")), "byte {at}");
        assert!(content.is_damaged);
    }
}

#[test]
fn a_folder_that_takes_nothing_costs_records_and_no_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = Spool::open(folder.path(), 1 << 20).expect("opened");
    spool.append(&records(0..3)).expect("kept");
    spool.tail = None;
    // A folder in the place of the next file, as a disk that is full would refuse it.
    fs::create_dir(spool.path_of(spool.next_file)).expect("made");
    spool.append(&records(3..6)).expect_err("no file");
    assert_eq!((spool.take_dropped(), spool.len()), (3, 3));
    spool.append(&records(6..8)).expect("the next file is free");
    assert_eq!(sent(&mut spool), [records(0..3), records(6..8)].concat());
    // A file that others have removed is counted.
    spool.rewind();
    fs::remove_file(&files(folder.path())[0]).expect("removed");
    assert_eq!((sent(&mut spool), spool.take_dropped()), (records(6..8), 3));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every record is acknowledged or dropped, the rest is there in order, also for another run.
    #[test]
    fn nothing_is_lost_without_a_count(
        steps in prop::collection::vec((0..4u8, 1..60u32), 1..60), limit in 4u64..40,
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut spool = Spool::open(folder.path(), limit << 10).expect("opened");
        let (mut next, mut acknowledged, mut dropped) = (0, 0, 0);
        for (step, count) in steps {
            match step {
                0 | 1 => {
                    spool.append(&records(next..next + count)).expect("kept");
                    next += count;
                }
                2 => {
                    for numbered in spool.next(count as usize) {
                        let before = spool.len();
                        spool.acknowledge(numbered.number);
                        acknowledged += before - spool.len();
                    }
                }
                _ => spool.rewind(),
            }
            dropped += spool.take_dropped();
            prop_assert_eq!(spool.len() + acknowledged + dropped, u64::from(next));
            prop_assert!(spool.bytes() <= limit << 10);
        }
        let left = u32::try_from(spool.len()).expect("few");
        spool.rewind();
        let rest = sent(&mut spool);
        prop_assert_eq!(&rest, &records(next - left..next));
        drop(spool);
        let mut again = Spool::open(folder.path(), limit << 10).expect("opened");
        let after = sent(&mut again);
        // Records of a file of which others are left come once more.
        prop_assert!(after.ends_with(&rest));
    }
}
