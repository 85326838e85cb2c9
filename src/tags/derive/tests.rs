//! How changes reach derived tags.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::formula::Program;
use crate::model::{
    AccessIx, Cell, Connection, ConnectionIx, DataType, Formula, Node, NodeIx, NodeKind, NodeName, Numbered, Origin,
    Shape, Tag,
};
use crate::tags::{Lapse, Miss, RawSample, Turn};
use crate::value::BuiltIn;

fn tag(origin: Origin) -> Tag {
    let data_type = DataType::BuiltIn(BuiltIn::Int32);
    Tag {
        cell: 0,
        node: NodeIx(0),
        shape: Shape { data_type, dimensions: Vec::new(), length: None, unit: None, range: None },
        origin,
        scale: None,
        wraps: false,
        deadband: 0.0,
        poll: Duration::from_secs(1),
        stale_after: Duration::from_secs(5),
        enabled: true,
        access: AccessIx(0),
        history: None,
    }
}

fn device() -> Origin {
    Origin::Device { connection: ConnectionIx(0), read: true, write: true, on_stop: None }
}

fn sum(inputs: &[u32]) -> Origin {
    let program = Arc::new(Program::sum(u16::try_from(inputs.len()).expect("few")));
    let inputs = inputs.iter().map(|tag| TagId(*tag)).collect();
    Origin::Derived(Arc::new(Derivation::Formula(Formula { text: "a sum".into(), program, inputs })))
}

/// Two device tags, a memory tag, and sums: 3 = 0 + 1, 4 = 3 + 0, 5 = 2 + 4.
fn plant() -> Plant {
    let (mut tags, mut connections) = (Numbered::default(), Numbered::default());
    let memory = Origin::Memory { initial: Value::Int32(100), write: true };
    for origin in [device(), device(), memory, sum(&[0, 1]), sum(&[3, 0]), sum(&[2, 4])] {
        tags.push(tag(origin));
    }
    let node = Node {
        name: "T".into(),
        id: NodeName::Path,
        parent: None,
        kind: NodeKind::Folder,
        display_name: None,
        description: None,
        access: AccessIx(0),
    };
    let cell = Cell { name: "c".into(), namespace: "urn:c".into(), nodes: vec![node], ..Cell::default() };
    connections.push(Connection {
        cell: 0,
        name: "plc".into(),
        description: String::new(),
        driver: "modbus-tcp",
        enabled: true,
        allow_write: true,
        timeout: Duration::from_secs(1),
        retries: 1,
        reconnect_max: Duration::from_secs(30),
    });
    let derived = vec![TagId(3), TagId(4), TagId(5)];
    Plant { revision: 1, cells: vec![cell], tags, connections, derived, ..Plant::default() }
}

fn value(store: &TagStore, tag: u32) -> Sample {
    store.with(TagId(tag), Clone::clone)
}

fn commit(store: &TagStore, plant: &Plant, samples: &[(u32, i32)]) {
    let samples: Vec<(TagId, RawSample)> =
        samples.iter().map(|(tag, value)| (TagId(*tag), RawSample::from(Ok(Value::Int32(*value))))).collect();
    store.commit(plant, &samples, Stamp::now());
}

#[test]
fn every_way_a_tag_changes_reaches_those_that_use_it() {
    let plant = plant();
    let store = TagStore::new(&plant);
    let last = || {
        let sample = value(&store, 5);
        (sample.value, sample.status)
    };
    assert_eq!(last(), (Value::Null, StatusCode::BadWaitingForInitialData), "its inputs have no value yet");
    commit(&store, &plant, &[(0, 1), (1, 2)]);
    assert_eq!(last(), (Value::Int32(104), StatusCode::Good));
    let later = Stamp { now: Stamp::now().now + Duration::from_secs(1), ..Stamp::now() };
    store.miss(&plant, &[TagId(1)], Miss::Silent, later);
    assert_eq!(last(), (Value::Int32(104), StatusCode::UncertainLastUsableValue));
    store.lapse(&plant, &[TagId(1)], Miss::LinkDown, Lapse::Bad, later);
    assert_eq!(last(), (Value::Null, StatusCode::BadNoCommunication));
    store.write_now(&plant, TagId(2), &Value::Int32(7), None, UaTime::now());
    assert_eq!(last(), (Value::Null, StatusCode::BadNoCommunication));
    commit(&store, &plant, &[(1, 3)]);
    assert_eq!(last(), (Value::Int32(12), StatusCode::Good));
    store.write_now(&plant, TagId(2), &Value::Int32(8), None, UaTime::now());
    assert_eq!(last(), (Value::Int32(13), StatusCode::Good));
    store.show_written(&plant, TagId(1), &Value::Int32(4), later);
    assert_eq!(last(), (Value::Int32(14), StatusCode::UncertainLastUsableValue));
    let much_later = Stamp { now: later.now + Duration::from_secs(60), ..later };
    store.expire(&plant, &[TagId(0)], Miss::Silent, much_later);
    assert_eq!(last(), (Value::Null, StatusCode::BadTimeout), "of two inputs the Bad one counts");
    commit(&store, &plant, &[(0, 1), (1, 3)]);
    store.expire_usable(&plant, &[TagId(0)], Duration::ZERO, Miss::Garbage, much_later);
    assert_eq!(last(), (Value::Null, StatusCode::BadCommunicationError));
    commit(&store, &plant, &[(0, 1), (1, 3)]);
    store.hold(&plant, [TagId(1)].into_iter(), later);
    assert_eq!(last(), (Value::Null, StatusCode::BadConfigurationError));
}

#[test]
fn the_reason_of_a_derived_tag_names_its_input() {
    let plant = plant();
    let store = TagStore::new(&plant);
    commit(&store, &plant, &[(0, 1), (1, 2)]);
    assert_eq!(store.derived_reason(TagId(3)), None);
    store.lapse(&plant, &[TagId(1)], Miss::LinkDown, Lapse::Bad, Stamp::now());
    let reason = store.derived_reason(TagId(3)).expect("it is Bad");
    assert_eq!((&*reason.why, reason.input), ("its input `in1` is BadNoCommunication", Some(TagId(1))));
    let reason = store.derived_reason(TagId(5)).expect("it is Bad");
    assert_eq!((&*reason.why, reason.input), ("its input `in1` is BadNoCommunication", Some(TagId(4))));
    commit(&store, &plant, &[(0, i32::MAX), (1, 2)]);
    let reason = store.derived_reason(TagId(3)).expect("it is Bad");
    assert_eq!((&*reason.why, reason.input), ("the formula gives a value beyond the type", None));
    assert_eq!(value(&store, 3).status, StatusCode::BadOutOfRange);
}

#[test]
fn a_reload_evaluates_what_it_turned_and_an_older_plant_evaluates_nothing() {
    let old = plant();
    let store = TagStore::new(&old);
    commit(&store, &old, &[(0, 1), (1, 2)]);
    let mut new = Plant { revision: 2, ..old.clone() };
    new.tags.put(TagId(3), tag(sum(&[1])));
    new.derived = vec![TagId(3), TagId(4), TagId(5)];
    let stamp = Stamp::now();
    store.turn(&new, TagId(3), Turn::Begin, None, stamp);
    commit(&store, &old, &[(1, 3)]);
    assert_eq!(value(&store, 3).status, StatusCode::BadWaitingForInitialData, "the old formula has no say any more");
    store.follow(&new, &[TagId(3)], |_| None, stamp);
    assert_eq!(value(&store, 3).value, Value::Int32(3));
    assert_eq!(value(&store, 5).value, Value::Int32(104));
    commit(&store, &old, &[(1, 5)]);
    assert_eq!(value(&store, 5).value, Value::Int32(106), "a link that follows later still feeds its tags");
    let without = Plant { revision: 3, derived: Vec::new(), ..new.clone() };
    store.follow(&without, &[], |_| None, stamp);
    commit(&store, &without, &[(1, 9)]);
    assert_eq!(value(&store, 5).value, Value::Int32(106), "no formula is left");
}

/// Counts how often a derived tag is offered, and what with.
#[derive(Default)]
struct Offered(Mutex<Vec<Value>>, Mutex<Vec<Value>>);

impl crate::tags::Watcher for Offered {
    fn offer(&self, _: u32, sample: &Sample, _: crate::value::Moment) {
        self.0.lock().push(sample.value.clone());
    }

    fn recall(&self, _: u32, sample: &Sample) {
        self.1.lock().push(sample.value.clone());
    }
}

#[test]
fn a_batch_evaluates_each_tag_once_and_after_the_ones_that_it_uses() {
    let plant = plant();
    let store = TagStore::new(&plant);
    let offered: Arc<Offered> = Arc::default();
    commit(&store, &plant, &[(0, 0), (1, 0)]);
    store.watch(TagId(4), crate::tags::Watch { watcher: offered.clone(), key: 0, every: true });
    // Both inputs of 3, and 3 with 0 for 4: three ways lead to 4.
    for round in 1..=100 {
        commit(&store, &plant, &[(0, round), (1, 10 * round)]);
    }
    let expected: Vec<Value> = (0..=100).map(|round| Value::Int32(12 * round)).collect();
    assert_eq!(*offered.0.lock(), expected);
}

#[test]
fn a_result_that_is_equal_is_no_change() {
    let plant = plant();
    let store = TagStore::new(&plant);
    commit(&store, &plant, &[(0, 1), (1, 2)]);
    let offered: Arc<Offered> = Arc::default();
    store.watch(TagId(5), crate::tags::Watch { watcher: offered.clone(), key: 0, every: false });
    commit(&store, &plant, &[(0, 1), (1, 2)]);
    // 3 stays 3, but 4 is one less.
    commit(&store, &plant, &[(0, 0), (1, 3)]);
    assert_eq!(*offered.0.lock(), [Value::Int32(104), Value::Int32(103)]);
}

#[test]
fn a_sample_of_the_past_reaches_formulas_of_one_tag() {
    let mut plant = plant();
    plant.tags.put(TagId(3), tag(sum(&[1])));
    plant.tags.put(TagId(4), tag(sum(&[3])));
    let store = TagStore::new(&plant);
    commit(&store, &plant, &[(0, 1), (1, 2)]);
    let (single, double): (Arc<Offered>, Arc<Offered>) = Default::default();
    store.watch(TagId(4), crate::tags::Watch { watcher: single.clone(), key: 0, every: false });
    store.watch(TagId(5), crate::tags::Watch { watcher: double.clone(), key: 0, every: false });
    let past = RawSample::from(Ok(Value::Int32(77))).of_the_past(UaTime(5));
    store.commit(&plant, &[(TagId(1), past)], Stamp::now());
    assert_eq!(*single.1.lock(), [Value::Int32(77)], "through a chain of formulas of one tag");
    assert!(double.1.lock().is_empty(), "nobody knows what its other input was");
    assert_eq!(value(&store, 4).value, Value::Int32(2), "the present stays");
}
