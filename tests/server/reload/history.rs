//! History over reloads: of tags that get a class, that are removed, and that come back.

use opcell::testing::history::store::Store;
use opcell::testing::history::{Direction, Historian, Span};
use opcell::value::{UaTime, Value};
use opcua::StatusCode;
use testkit::history::{Read, raw};
use testkit::until;

use super::bench::{Bench, tag};

const RECORDED: &str = "  T: { type: Int32, value: 1, write: true, history: process, range: [0, 99] }\n";
const OTHER: &str = "  U: { type: Int32, value: 5, write: true, history: process }\n";

/// All raw values of `T`, without bounds.
fn read(bench: &mut Bench) -> Read {
    bench.client.history("T", &raw(UaTime::now().0 - 36_000_000_000, UaTime::now().0 + 36_000_000_000, 0, false))
}

/// Statuses and values of `T` as HistoryRead returns them.
fn statuses(read: &Read) -> Vec<(StatusCode, Value)> {
    let one = |value: &opcell::testing::stack::codec::DataValue| {
        (value.status.unwrap_or(StatusCode::Good), value.value.clone().unwrap_or_default())
    };
    read.values.iter().map(one).collect()
}

fn write(bench: &mut Bench, number: i32) {
    assert_eq!(bench.client.write(tag("T"), &Value::Int32(number)), StatusCode::Good);
}

fn until_recorded(bench: &mut Bench, number: i32) -> Vec<(StatusCode, Value)> {
    until(&format!("{number} is recorded"), || {
        let found = statuses(&read(bench));
        let is_there = found.last() == Some(&(StatusCode::Good, Value::Int32(number)));
        if is_there { Ok(found) } else { Err(format!("{found:?}")) }
    })
}

#[test]
fn the_first_tag_with_a_class_is_recorded_from_the_reload_on() {
    let mut bench = Bench::start("  T: { type: Int32, value: 1, write: true, range: [0, 99] }\n");
    write(&mut bench, 2);
    assert_ne!(read(&mut bench).status, StatusCode::Good, "it has no history");
    bench.reload(RECORDED);
    let recorded = until_recorded(&mut bench, 2);
    assert_eq!(recorded, [(StatusCode::Good, Value::Int32(2))], "nothing of the time before");
    write(&mut bench, 3);
    until_recorded(&mut bench, 3);
}

#[test]
fn the_history_of_a_removed_tag_is_closed_and_found_when_it_comes_back() {
    let mut bench = Bench::start(&format!("{RECORDED}{OTHER}"));
    write(&mut bench, 2);
    until_recorded(&mut bench, 2);
    bench.reload(OTHER);
    assert_eq!(read(&mut bench).status, StatusCode::BadNodeIdUnknown);
    let dir = bench.server.dir().join("state/history");
    until("the store has its end", || {
        let store = Store::open_to_read(&dir).map_err(|error| error.to_string())?;
        let archives = store.archives();
        let (id, _) = archives.iter().find(|(_, spec)| spec.identifier == "s=T").ok_or("no archive")?;
        let page = store.page(*id, Span::ALL, Direction::Forward, 0, None).map_err(|error| error.to_string())?;
        let found: Vec<StatusCode> = page.samples.iter().map(|sample| sample.status).collect();
        let is_closed = found.last() == Some(&StatusCode::BadDataLost) && found.len() > 2;
        if is_closed { Ok(()) } else { Err(format!("{found:?}")) }
    });
    bench.reload(&format!("{RECORDED}{OTHER}"));
    write(&mut bench, 3);
    let all = until_recorded(&mut bench, 3);
    let at = all.iter().position(|(status, _)| *status == StatusCode::BadDataLost).expect("the gap is marked");
    assert!(all[..at].contains(&(StatusCode::Good, Value::Int32(2))), "the time before: {all:?}");
    assert!(all[at..].contains(&(StatusCode::Good, Value::Int32(3))), "{all:?}");
}

#[test]
fn a_class_that_is_taken_away_ends_the_history_of_its_tag() {
    let mut bench = Bench::start(&format!("{RECORDED}{OTHER}"));
    until_recorded(&mut bench, 1);
    let without = RECORDED.replace(", history: process", "");
    bench.reload(&format!("{without}{OTHER}"));
    assert_ne!(read(&mut bench).status, StatusCode::Good);
    write(&mut bench, 2);
    bench.reload(&format!("{RECORDED}{OTHER}"));
    write(&mut bench, 3);
    let all = until_recorded(&mut bench, 3);
    assert_eq!(all[..2], [(StatusCode::Good, Value::Int32(1)), (StatusCode::BadDataLost, Value::Null)]);
}

#[test]
fn the_bit_of_semantics_is_not_recorded() {
    let mut bench = Bench::start(RECORDED);
    write(&mut bench, 2);
    until_recorded(&mut bench, 2);
    bench.reload(&RECORDED.replace("99", "50"));
    write(&mut bench, 3);
    let all = until_recorded(&mut bench, 3);
    assert!(all.iter().all(|(status, _)| *status == StatusCode::Good), "{all:?}");
}
