//! The quality table, writes and watching, with a clock of the test's own.

use super::*;
use crate::model::{
    AccessIx, Cell, Connection, DataType, EnumIx, EnumType, Node, NodeIx, NodeKind, NodeName, Numbered, Scale, Shape,
    Text,
};
use crate::value::{BuiltIn, Elements, Moment};
use crate::value::{IndexRange, UaTime};

const STALE: Duration = Duration::from_secs(5);

fn shape(data_type: DataType, dimensions: &[u32]) -> Shape {
    Shape { data_type, dimensions: dimensions.to_vec(), length: Some(4), unit: None, range: None }
}

fn tag(shape: Shape, origin: Origin) -> Tag {
    Tag {
        cell: 0,
        node: NodeIx(0),
        shape,
        origin,
        scale: None,
        wraps: false,
        deadband: 0.0,
        poll: Duration::from_secs(1),
        stale_after: STALE,
        enabled: true,
        access: AccessIx(0),
        history: None,
    }
}

fn device() -> Origin {
    Origin::Device { connection: ConnectionIx(0), read: true, write: true, on_stop: None }
}

/// A store with the plant of its tags.
struct Bench {
    plant: Plant,
    tags: TagStore,
}

impl std::ops::Deref for Bench {
    type Target = TagStore;

    fn deref(&self) -> &TagStore {
        &self.tags
    }
}

fn store(all: Vec<Tag>) -> Bench {
    let (mut tags, mut connections) = (Numbered::default(), Numbered::default());
    for tag in all {
        tags.push(tag);
    }
    let enums = vec![EnumType { name: "State".into(), values: vec![(0, Text::default()), (2, Text::default())] }];
    let node = Node {
        name: "T".into(),
        id: NodeName::Path,
        parent: None,
        kind: NodeKind::Folder,
        display_name: None,
        description: None,
        access: AccessIx(0),
    };
    let cell = Cell { name: "c".into(), namespace: "urn:c".into(), nodes: vec![node], enums, ..Cell::default() };
    let connection = Connection {
        cell: 0,
        name: "plc".into(),
        description: String::new(),
        driver: "modbus-tcp",
        enabled: true,
        allow_write: true,
        timeout: Duration::from_secs(1),
        retries: 1,
        reconnect_max: Duration::from_secs(30),
    };
    connections.push(connection);
    let plant = Plant { revision: 1, cells: vec![cell], tags, connections, ..Plant::default() };
    Bench { tags: TagStore::new(&plant), plant }
}

fn number(kind: BuiltIn) -> Tag {
    tag(shape(DataType::BuiltIn(kind), &[]), device())
}

/// Stamp this number of milliseconds after the start, with a time of the device's own.
fn at(start: Instant, millis: u64) -> Stamp {
    let source = UaTime(1_000_000 + i64::try_from(millis).expect("small"));
    Stamp { source, server: UaTime(source.0 + 1), now: start + Duration::from_millis(millis) }
}

fn good(value: Value) -> [(TagId, RawSample); 1] {
    [(TagId(0), RawSample::from(Ok(value)))]
}

/// Samples of the present, and those of the past.
#[derive(Default)]
struct Seen(Mutex<Vec<Sample>>, Mutex<Vec<Sample>>);

impl Watcher for Seen {
    fn offer(&self, _: u32, sample: &Sample, _: Moment) {
        self.0.lock().push(sample.clone());
    }

    fn recall(&self, _: u32, sample: &Sample) {
        self.1.lock().push(sample.clone());
    }
}

fn watched(store: &Bench, every: bool) -> Arc<Seen> {
    let seen: Arc<Seen> = Arc::default();
    store.watch(TagId(0), Watch { watcher: seen.clone(), key: 0, every });
    seen
}

#[test]
fn quality_falls_as_the_table_says() {
    let uncertain = StatusCode::UncertainLastUsableValue;
    for (why, code) in [
        (Miss::NeverConnected, StatusCode::BadNotConnected),
        (Miss::LinkDown, StatusCode::BadNoCommunication),
        (Miss::Silent, StatusCode::BadTimeout),
        (Miss::Garbage, StatusCode::BadCommunicationError),
        (Miss::Busy, StatusCode::BadResourceUnavailable),
    ] {
        let start = Instant::now();
        let store = store(vec![number(BuiltIn::Int16)]);
        let now = |store: &Bench| store.with(TagId(0), |sample| (sample.value.clone(), sample.status));
        assert_eq!(now(&store), (Value::Null, StatusCode::BadWaitingForInitialData));
        store.miss(&store.plant, &[TagId(0)], why, at(start, 0));
        assert_eq!(now(&store), (Value::Null, code), "never read, so there is no usable value");
        store.commit(&store.plant, &good(Value::Int16(7)), at(start, 1_000));
        assert_eq!(now(&store), (Value::Int16(7), StatusCode::Good));
        store.expire(&store.plant, &[TagId(0)], why, at(start, 1_500));
        assert_eq!(now(&store), (Value::Int16(7), StatusCode::Good), "not asked is not missed");
        store.miss(&store.plant, &[TagId(0)], why, at(start, 2_000));
        assert_eq!(now(&store), (Value::Int16(7), uncertain));
        assert_eq!(store.with(TagId(0), |sample| sample.source_time), at(start, 2_000).source);
        store.miss(&store.plant, &[TagId(0)], why, at(start, 5_999));
        assert_eq!(now(&store), (Value::Int16(7), uncertain));
        store.miss(&store.plant, &[TagId(0)], why, at(start, 6_000));
        assert_eq!(now(&store), (Value::Null, code));
        store.commit(&store.plant, &good(Value::Int16(7)), at(start, 7_000));
        assert_eq!(now(&store), (Value::Int16(7), StatusCode::Good));
    }
}

#[test]
fn a_miss_never_makes_a_bad_tag_better() {
    let start = Instant::now();
    let store = store(vec![number(BuiltIn::Int16)]);
    store.commit(&store.plant, &good(Value::Int16(7)), at(start, 0));
    store.commit(&store.plant, &[(TagId(0), RawSample::from(Err(StatusCode::BadSensorFailure)))], at(start, 1_000));
    store.expire(&store.plant, &[TagId(0)], Miss::Silent, at(start, 1_500));
    let now = |store: &Bench| store.with(TagId(0), |sample| sample.status);
    assert_eq!(now(&store), StatusCode::BadSensorFailure, "the device said so, and the next answer is only late");
    store.miss(&store.plant, &[TagId(0)], Miss::Silent, at(start, 2_000));
    assert_eq!(now(&store), StatusCode::BadTimeout);
}

#[test]
fn a_tag_with_a_newer_source_takes_nothing_by_an_older_plant() {
    let start = Instant::now();
    let bench = store(vec![number(BuiltIn::Int16)]);
    bench.commit(&bench.plant, &good(Value::Int16(7)), at(start, 0));
    let old = bench.plant.clone();
    let newer = Plant { revision: old.revision + 1, ..old.clone() };
    bench.turn(&newer, TagId(0), Turn::Begin, None, at(start, 1_000));
    let now = || bench.with(TagId(0), |sample| (sample.value.clone(), sample.status, sample.source_time));
    let begun = now();
    let (id, late) = ([TagId(0)], at(start, 60_000));
    bench.commit(&old, &good(Value::Int16(8)), late);
    bench.miss(&old, &id, Miss::Silent, late);
    bench.lapse(&old, &id, Miss::LinkDown, Lapse::Bad, late);
    bench.expire(&old, &id, Miss::Silent, late);
    bench.expire_usable(&old, &id, Duration::ZERO, Miss::Silent, late);
    bench.show_written(&old, TagId(0), &Value::Int16(9), late);
    assert_eq!(now(), begun);
    for plant in [&newer, &Plant { revision: newer.revision + 1, ..old.clone() }] {
        bench.commit(plant, &good(Value::Int16(8)), late);
        assert_eq!(now(), (Value::Int16(8), StatusCode::Good, late.source));
        bench.miss(plant, &id, Miss::Silent, at(start, 61_000));
        assert_eq!(now().1, StatusCode::UncertainLastUsableValue);
    }
}

#[test]
fn a_sample_of_the_past_is_recalled_and_changes_nothing() {
    let start = Instant::now();
    let store = store(vec![number(BuiltIn::Int16)]);
    let seen = watched(&store, true);
    store.commit(&store.plant, &good(Value::Int16(7)), at(start, 5_000));
    let before = store.with(TagId(0), Clone::clone);
    let past = at(start, 1_000).source;
    for (raw, wanted) in [
        (RawSample::from(Ok(Value::Int64(3))), Some((Value::Int16(3), StatusCode::Good))),
        (RawSample::from(Ok(Value::Int64(70_000))), Some((Value::Null, StatusCode::BadDataEncodingInvalid))),
        (RawSample::from(Err(StatusCode::BadSensorFailure)), Some((Value::Null, StatusCode::BadSensorFailure))),
    ] {
        store.commit(&store.plant, &[(TagId(0), raw.of_the_past(past))], at(start, 6_000));
        let recalled = seen.1.lock().pop().map(|sample| {
            assert_eq!((sample.source_time, sample.server_time), (past, at(start, 6_000).server));
            (sample.value, sample.status)
        });
        assert_eq!(recalled, wanted);
    }
    let ahead = RawSample::from(Ok(Value::Int16(4))).of_the_past(at(start, 9_000).source);
    store.commit(&store.plant, &[(TagId(0), ahead)], at(start, 6_000));
    assert_eq!((seen.0.lock().len(), seen.1.lock().len()), (2, 0));
    assert_eq!((store.with(TagId(0), Clone::clone), store.reason(TagId(0))), (before, None));
}

#[test]
fn watchers_see_changes_of_value_and_of_status_once_and_samples_when_they_want() {
    let start = Instant::now();
    let mut tag = number(BuiltIn::Double);
    tag.deadband = 0.5;
    let store = store(vec![tag]);
    let (changes, every) = (watched(&store, false), watched(&store, true));
    let values = [1.0, 1.5, 1.6, 1.6, f64::NAN, f64::NAN, 2.0];
    for (millis, value) in (0..).zip(values) {
        store.commit(&store.plant, &good(Value::Double(value)), at(start, millis));
    }
    store.miss(&store.plant, &[TagId(0)], Miss::LinkDown, at(start, 20));
    store.miss(&store.plant, &[TagId(0)], Miss::LinkDown, at(start, 30));
    let numbers: Vec<String> = changes.0.lock().iter().map(|sample| format!("{:?}", sample.value)).collect();
    assert_eq!(numbers, ["Null", "Double(1.0)", "Double(1.6)", "Double(NaN)", "Double(2.0)", "Double(2.0)"]);
    assert_eq!(every.0.lock().len(), 1 + values.len() + 1);
    let refreshed = every.0.lock()[2].clone();
    assert_eq!((refreshed.value, refreshed.source_time), (Value::Double(1.0), at(start, 1).source));
    let watcher: Arc<dyn Watcher> = changes.clone();
    store.unwatch(TagId(0), &watcher, 0);
    store.commit(&store.plant, &good(Value::Double(99.0)), at(start, 40));
    assert_eq!(changes.0.lock().len(), 6);
}

#[test]
fn raw_values_become_the_tags_own_or_are_no_values_of_it() {
    let start = Instant::now();
    let factor = Some(Scale::Factor { factor: 0.1, offset: 0.0 });
    let range = Some(Scale::Range { raw: (4_000.0, 20_000.0), eu: (0.0, 100.0), clamp: true });
    let whole = |factor, offset| Some(Scale::Factor { factor, offset });
    let wide = (1_i64 << 53) + 1;
    let unsigned = wide.unsigned_abs();
    let out = Err(StatusCode::BadDataEncodingInvalid);
    #[rustfmt::skip]
    let cases = [
        (BuiltIn::UInt64, whole(1.0, 0.0), None, Value::UInt64(unsigned), Ok(Value::UInt64(unsigned))),
        (BuiltIn::UInt64, whole(10.0, -7.0), None, Value::UInt64(unsigned), Ok(Value::UInt64(unsigned * 10 - 7))),
        (BuiltIn::Int64, whole(1.0, 0.0), None, Value::Int64(-wide), Ok(Value::Int64(-wide))),
        (BuiltIn::Int64, whole(-3.0, 5.0), Some(2), Value::Int64(wide), Ok(Value::Int64(-300 * wide + 5))),
        (BuiltIn::Int64, factor, None, Value::Int64(i64::MAX), out.clone()),
        (BuiltIn::Double, factor, None, Value::Int64(1 << 60), Ok(Value::Double(1.152_921_504_606_847e17))),
        (BuiltIn::Double, None, None, Value::UInt64(unsigned), out.clone()),
        (BuiltIn::Float, None, None, Value::UInt32(16_777_217), out.clone()),
        (BuiltIn::Float, None, None, Value::UInt32(16_777_216), Ok(Value::Float(16_777_216.0))),
        (BuiltIn::Float, None, None, Value::Double(1e300), out.clone()),
        (BuiltIn::Float, None, None, Value::Double(0.1), Ok(Value::Float(0.1))),
        (BuiltIn::Float, None, None, Value::Double(16_777_217.0), Ok(Value::Float(16_777_216.0))),
        (BuiltIn::Float, whole(1.0, 0.0), None, Value::UInt32(16_777_217), out.clone()),
        (BuiltIn::Float, whole(1.0, 1.0), None, Value::UInt32(16_777_217), Ok(Value::Float(16_777_218.0))),
        (BuiltIn::Float, factor, None, Value::UInt32(16_777_217), Ok(Value::Float(1_677_721.7))),
        (BuiltIn::Double, whole(1.0, 0.0), None, Value::UInt64(unsigned), out.clone()),
        (BuiltIn::Double, whole(1e308, 0.0), None, Value::Int16(10), out.clone()),
        (BuiltIn::Int16, None, None, Value::UInt16(40_000), out.clone()),
        (BuiltIn::Int16, None, None, Value::UInt16(7), Ok(Value::Int16(7))),
        (BuiltIn::Boolean, None, None, Value::UInt16(2), out.clone()),
        (BuiltIn::Double, factor, None, Value::Int16(234), Ok(Value::Double(23.4))),
        (BuiltIn::Double, factor, Some(2), Value::Int16(234), Ok(Value::Double(2_340.0))),
        (BuiltIn::Double, None, Some(-3), Value::Int16(1_234), Ok(Value::Double(1.234))),
        (BuiltIn::Double, range, None, Value::Int16(12_000), Ok(Value::Double(50.0))),
        (BuiltIn::Double, range, None, Value::Int16(0), Ok(Value::Double(0.0))),
        (BuiltIn::UInt64, None, None, Value::UInt64(u64::MAX), Ok(Value::UInt64(u64::MAX))),
        (BuiltIn::Byte, factor, None, Value::Int16(-10), out.clone()),
    ];
    for (kind, scale, exponent, raw, wanted) in cases {
        let mut tag = number(kind);
        tag.scale = scale;
        let store = store(vec![tag]);
        let name = format!("{raw:?} as {kind:?}, {scale:?}, {exponent:?}");
        store.commit(&store.plant, &[(TagId(0), RawSample::from(Ok(raw.clone())).scaled(exponent))], at(start, 0));
        let read = store.with(TagId(0), |sample| match sample.status.is_good() {
            true => Ok(sample.value.clone()),
            false => Err(sample.status),
        });
        assert_eq!(read, wanted, "{name}");
        if let (Ok(value), true) = (wanted, raw.as_f64() != Some(0.0)) {
            let back = to_raw(store.plant.tag(TagId(0)).scale, &value, exponent).expect(&name);
            let (back, raw) = (back.as_f64().expect("a number"), raw.as_f64().expect("a number"));
            assert!((back - raw).abs() < 1e-6 * raw.abs(), "{name}: back to {back}");
        }
    }
}

#[test]
fn an_enumeration_has_no_other_values() {
    let start = Instant::now();
    let scalar = tag(shape(DataType::Enum(EnumIx(0)), &[]), device());
    let array = tag(shape(DataType::Enum(EnumIx(0)), &[2]), device());
    let store = store(vec![scalar, array]);
    let now = |tag: u32| store.with(TagId(tag), |sample| (sample.value.clone(), sample.status));
    let bad = (Value::Null, StatusCode::BadDataEncodingInvalid);
    for (raw, known) in [(2_u16, true), (1, false), (0, true), (u16::MAX, false)] {
        let both = [
            (TagId(0), RawSample::from(Ok(Value::UInt16(raw)))),
            (TagId(1), RawSample::from(Ok(Value::array(Elements::UInt16(vec![0, raw]))))),
        ];
        store.commit(&store.plant, &both, at(start, 0));
        let number = i32::from(raw);
        let one = (Value::Int32(number), StatusCode::Good);
        let two = (Value::array(Elements::Int32(vec![0, number])), StatusCode::Good);
        assert_eq!(now(0), if known { one } else { bad.clone() }, "{raw}");
        assert_eq!(now(1), if known { two } else { bad.clone() }, "{raw}");
    }
}

#[test]
fn a_write_keeps_all_digits_of_64_bits_through_a_whole_scale() {
    let wide = (1_u64 << 53) + 1;
    let scale = |factor, offset| Some(Scale::Factor { factor, offset });
    #[rustfmt::skip]
    let cases = [
        (scale(1.0, 0.0), None, Value::UInt64(wide), Value::Int64(wide.cast_signed())),
        (scale(1.0, 0.0), None, Value::UInt64(u64::MAX), Value::UInt64(u64::MAX)),
        (scale(10.0, 3.0), None, Value::UInt64(wide * 10 + 3), Value::Int64(wide.cast_signed())),
        (scale(10.0, 0.0), None, Value::UInt64(wide * 10 + 5), Value::Int64(wide.cast_signed() + 1)),
        (scale(10.0, 0.0), None, Value::UInt64(25), Value::Double(2.5)),
        (scale(1.0, 0.0), Some(-2), Value::UInt64(7), Value::Int64(700)),
        (scale(1.0, 0.0), Some(2), Value::UInt64(700), Value::Int64(7)),
    ];
    for (scale, exponent, value, raw) in cases {
        let mut tag = number(BuiltIn::UInt64);
        tag.scale = scale;
        assert_eq!(convert::to_raw(tag.scale, &value, exponent), Ok(raw.clone()), "{value:?} {scale:?}");
        tag.shape.dimensions = vec![2];
        let Value::UInt64(number) = value else { unreachable!() };
        let both = Value::array(Elements::UInt64(vec![number, number]));
        let Ok(Value::Array(array)) = convert::to_raw(tag.scale, &both, exponent) else { panic!("{value:?}") };
        assert_eq!(array.elements.get(1), Some(raw), "{value:?} {scale:?}");
    }
    let mut tag = number(BuiltIn::UInt64);
    tag.scale = scale(0.1, 0.0);
    let out = Err(StatusCode::BadOutOfRange);
    assert_eq!(convert::to_raw(tag.scale, &Value::UInt64(wide), None), out, "a fraction goes through a Double");
    assert_eq!(convert::to_raw(tag.scale, &Value::UInt64(1 << 51), None), out, "and so does the raw value");
    assert_eq!(
        convert::to_raw(tag.scale, &Value::UInt64(1 << 40), None),
        Ok(Value::Double(10.0 * (1_u64 << 40) as f64))
    );
}

#[test]
fn writes_of_a_wrong_type_or_outside_the_limits_are_refused() {
    let memory = |shape: Shape, initial: Value| tag(shape, Origin::Memory { initial, write: true });
    let mut int = memory(shape(DataType::BuiltIn(BuiltIn::Int32), &[]), Value::Int32(1));
    int.shape.range = Some((0.0, 10.0));
    let row = memory(shape(DataType::BuiltIn(BuiltIn::Byte), &[3]), Value::array(Elements::Byte(vec![1, 2, 3])));
    let constant =
        tag(shape(DataType::BuiltIn(BuiltIn::Int32), &[]), Origin::Memory { initial: Value::Int32(5), write: false });
    let mut off = number(BuiltIn::Int32);
    off.enabled = false;
    let store = store(vec![
        int,
        memory(shape(DataType::Enum(EnumIx(0)), &[]), Value::Int32(0)),
        memory(shape(DataType::BuiltIn(BuiltIn::String), &[]), Value::text("")),
        row,
        constant,
        off,
    ]);
    let bytes = |bytes: &[u8]| Value::array(Elements::Byte(bytes.to_vec()));
    let (mismatch, out) = (StatusCode::BadTypeMismatch, StatusCode::BadOutOfRange);
    #[rustfmt::skip]
    let cases = [
        (0, Value::text("3"), "", mismatch),
        (0, Value::Double(3.0), "", mismatch),
        (0, Value::Int16(3), "", mismatch),
        (0, Value::Null, "", mismatch),
        (0, Value::array(Elements::Int32(vec![3])), "", mismatch),
        (0, Value::Int32(11), "", out),
        (0, Value::Int32(10), "", StatusCode::Good),
        (0, Value::Int32(1), "0", StatusCode::BadIndexRangeNoData),
        (1, Value::Int32(1), "", out),
        (1, Value::Int32(2), "", StatusCode::Good),
        (2, Value::text("12345"), "", out),
        (2, Value::text("1234"), "", StatusCode::Good),
        (3, bytes(&[1, 2]), "", mismatch),
        (3, bytes(&[9, 8]), "1:2", StatusCode::Good),
        (3, bytes(&[9]), "1:2", StatusCode::BadIndexRangeDataMismatch),
        (4, Value::Int32(1), "", StatusCode::BadNotWritable),
        (5, Value::Int32(1), "", StatusCode::BadOutOfService),
    ];
    for (tag, value, range, status) in cases {
        let range = IndexRange::parse(range).expect("a range");
        let written = store.write_now(&store.plant, TagId(tag), &value, range.as_ref(), UaTime(9));
        assert_eq!(written, Written::Done(status), "{value:?} to {tag} {range:?}");
    }
    let changed = store.take_changed();
    let values: Vec<(u32, Value)> = changed.into_iter().map(|(tag, sample)| (tag.0, sample.value)).collect();
    let wanted = [(0, Value::Int32(10)), (1, Value::Int32(2)), (2, Value::text("1234")), (3, bytes(&[1, 9, 8]))];
    assert_eq!(values, wanted);
    assert!(store.take_changed().is_empty());
    let begin = |value| {
        let kept = Kept { value, source: UaTime(3) };
        store.turn(&store.plant, TagId(0), Turn::Begin, Some(&kept), Stamp::now());
        store.with(TagId(0), |sample| (sample.value.clone(), sample.source_time == UaTime(3)))
    };
    assert_eq!(begin(Value::Int32(4)), (Value::Int32(4), true), "a retained value comes back with its time");
    assert!(!begin(Value::text("4")).1, "one that does not fit is not taken");
}

#[test]
fn a_write_outside_a_scale_that_clamps_is_refused() {
    let range = |clamp| Some(Scale::Range { raw: (4_000.0, 20_000.0), eu: (100.0, 0.0), clamp });
    for (value, inside) in [(-0.1, false), (0.0, true), (50.0, true), (100.0, true), (150.0, false)] {
        let written = |clamp| convert::to_raw(range(clamp), &Value::Double(value), None);
        assert!(written(false).is_ok(), "{value}");
        assert_eq!(written(true).err(), (!inside).then_some(StatusCode::BadOutOfRange), "{value}");
    }
}

#[test]
fn a_value_whose_parts_do_not_come_together_grows_old_and_a_refusal_of_one_stays() {
    let (start, second) = (Instant::now(), Duration::from_secs(1));
    let store = store(vec![number(BuiltIn::UInt32)]);
    let stale = u64::try_from(STALE.as_millis()).expect("short");
    let later = |millis| {
        store.expire_usable(&store.plant, &[TagId(0)], second * 2, Miss::Silent, at(start, millis));
        store.with(TagId(0), |sample| sample.status)
    };
    store.commit(&store.plant, &good(Value::UInt32(1)), at(start, 0));
    assert_eq!(later(stale.max(2_000) - 1), StatusCode::Good, "two periods are not over");
    assert_eq!(later(stale.max(2_000)), StatusCode::BadTimeout);
    let refused = RawSample::from(Err(StatusCode::BadConfigurationError));
    store.commit(&store.plant, &[(TagId(0), refused)], at(start, 0));
    assert_eq!(later(stale.max(2_000)), StatusCode::BadConfigurationError);
}

#[tokio::test(start_paused = true)]
async fn a_device_s_own_status_and_time_pass_and_a_bad_one_has_no_value() {
    let start = Instant::now();
    let store = store(vec![tag(shape(DataType::BuiltIn(BuiltIn::Double), &[]), device())]);
    let (then, Stamp { source: arrival, server, .. }) = (UaTime(5_000), at(start, 0));
    let hour = 36_000_000_000;
    let one = || Value::Double(1.0);
    for (raw, value, status, source) in [
        (RawSample::new(one(), StatusCode::GoodClamped).at(then), one(), StatusCode::GoodClamped, then),
        (RawSample::new(one(), StatusCode::UncertainSubNormal).at(then), one(), StatusCode::UncertainSubNormal, then),
        (RawSample::new(one(), StatusCode::BadSensorFailure).at(then), Value::Null, StatusCode::BadSensorFailure, then),
        (RawSample::new(one(), StatusCode::Good), one(), StatusCode::Good, arrival),
        // A clock that is an hour ahead is believed, a wilder one is not.
        (
            RawSample::new(one(), StatusCode::Good).at(UaTime(server.0 + hour)),
            one(),
            StatusCode::Good,
            UaTime(server.0 + hour),
        ),
        (RawSample::new(one(), StatusCode::Good).at(UaTime(server.0 + hour + 1)), one(), StatusCode::Good, arrival),
    ] {
        store.commit(&store.plant, &[(TagId(0), raw.clone())], at(start, 0));
        store.with(TagId(0), |sample| {
            assert_eq!((&sample.value, sample.status, sample.source_time), (&value, status, source), "{raw:?}");
            assert_eq!(sample.server_time, server);
        });
    }
}

#[test]
fn a_tag_has_a_reason_of_its_own_only_while_it_is_bad_for_it() {
    let start = Instant::now();
    let store = store(vec![number(BuiltIn::Int16)]);
    let id = TagId(0);
    let commit = |sample: RawSample| store.commit(&store.plant, &[(id, sample)], at(start, 0));
    let refused = || RawSample::from(Err(StatusCode::BadConfigurationError)).because("DB10 is absent");
    assert_eq!(store.reason(id), None);
    commit(refused());
    assert_eq!(store.reason(id).as_deref(), Some("DB10 is absent"));
    commit(RawSample::from(Ok(Value::Int32(70_000))));
    let why = store.reason(id).expect("a reason");
    assert_eq!(&*why, "the device sends 70000, which its type cannot hold");
    commit(RawSample::from(Ok(Value::Int32(7))));
    assert_eq!(store.reason(id), None);
    commit(refused());
    commit(RawSample::from(Err(StatusCode::BadTimeout)));
    assert_eq!(store.reason(id), None, "Bad without words of its own");
    commit(refused());
    store.lapse(&store.plant, &[id], Miss::LinkDown, Lapse::Bad, at(start, 0));
    assert_eq!(store.reason(id), None, "the link is the reason");
    commit(RawSample::from(Ok(Value::Int32(7))).because("a value needs no reason"));
    assert_eq!(store.reason(id), None);
    commit(refused());
    store.turn(&store.plant, id, Turn::Begin, None, at(start, 0));
    assert_eq!(store.reason(id), None, "another source");
}
