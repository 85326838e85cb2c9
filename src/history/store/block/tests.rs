//! Every kind of column comes back as it went in.

use proptest::prelude::*;

use super::*;
use crate::value::Value;

fn round_trip(rows: &Rows) -> Rows {
    let encoded = encode(rows);
    let index = Index::read(&encoded.index, encoded.first, encoded.count).expect("an index");
    let times = encode_times(&rows.times, &rows.seqs);
    let mut columns = Times::open(&times, encoded.count).expect("times");
    let mut data = Data::open(&encoded.data, encoded.count).expect("data");
    let mut all = Rows::empty();
    for (frame, found) in index.frames.iter().enumerate() {
        let (mut column, mut seqs) = (Vec::new(), Vec::new());
        columns.frame(&times, frame, found.count, &mut column).expect("times of a frame");
        columns.seqs(&times, frame, found.count, &mut seqs).expect("commits of a frame");
        assert_eq!((column[0], column[found.count - 1]), (found.first, found.last));
        let mut rows = data.frame(&encoded.data, frame, column).expect("a frame");
        rows.seqs = seqs;
        all.append(&rows);
    }
    all
}

fn assert_same(found: &Rows, put: &Rows) {
    assert_eq!(found.len(), put.len());
    for at in 0..put.len() {
        assert!(found.same(at, put, at), "{:?} is not {:?}", found.sample(at), put.sample(at));
        assert_eq!(found.servers[at], put.servers[at]);
        assert_eq!(found.seq(at), put.seq(at));
    }
}

fn rows(cells: Cells, count: usize) -> Rows {
    Rows {
        times: (0..count).map(|at| 133_000_000_000_000_000 + 10_000_000 * at as i64 + (at * at % 997) as i64).collect(),
        servers: (0..count).map(|at| 133_000_000_000_000_000 + 10_000_000 * at as i64 + 30_000).collect(),
        statuses: (0..count).map(|at| if at % 100 == 7 { 0x800a_0000 } else { 0 }).collect(),
        seqs: (0..count).map(|at| 5 + at as u64 / 10).collect(),
        seq: 0,
        cells,
    }
}

#[test]
fn numbers_of_every_kind_and_shape_come_back() {
    type Shape = (&'static str, fn(u64) -> u64);
    let shapes: [Shape; 6] = [
        ("the same", |_| 77),
        ("steps", |n| n / 90),
        ("a counter", |n| n * 3),
        ("negative", |n| (-(n.cast_signed()) * 5).cast_unsigned()),
        ("noise", |n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        ("edges", |n| [0, 1, u64::MAX, i64::MIN.cast_unsigned(), 1 << 63 | 1][(n % 5) as usize]),
    ];
    for kind in (1..=11).chain([13]) {
        for (shape, make) in shapes {
            for count in [1, 2, 50, 63, 64, 256, 257, 1000, 4096] {
                let narrow = |bits: u64| super::super::rows::pack(&super::super::rows::unpack(kind, bits));
                let bits: Vec<u64> = (0..count as u64).map(|n| narrow(make(n)).expect("bits").1).collect();
                let put = rows(Cells::Bits { kind, bits, absent: Vec::new() }, count);
                let found = round_trip(&put);
                assert!(
                    found == put || {
                        assert_same(&found, &put);
                        true
                    },
                    "{shape} of kind {kind}, {count}"
                );
            }
        }
    }
}

#[test]
fn floats_keep_every_bit() {
    let special = [0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 5e-324, 0.1];
    let payload = f64::from_bits(0x7ff8_0000_dead_beef);
    for count in [3, 40, 300, 4096] {
        let floats: Vec<f64> =
            (0..count).map(|at| if at % 11 == 10 { payload } else { special[at % special.len()] }).collect();
        let bits = floats.iter().map(|float| float.to_bits()).collect();
        let put = rows(Cells::Bits { kind: 11, bits, absent: Vec::new() }, count);
        assert_eq!(round_trip(&put).cells, put.cells);
        let bits = floats.iter().map(|float| u64::from((*float as f32).to_bits())).collect();
        let put = rows(Cells::Bits { kind: 10, bits, absent: Vec::new() }, count);
        assert_eq!(round_trip(&put).cells, put.cells);
    }
}

#[test]
fn decimals_take_few_bytes_even_in_small_blocks() {
    let bits = (0..50u32).map(|n| (20.0 + f64::from(n % 7) / 10.0).to_bits()).collect();
    let put = rows(Cells::Bits { kind: 11, bits, absent: Vec::new() }, 50);
    assert_same(&round_trip(&put), &put);
    let constant = Rows { servers: put.times.clone(), statuses: Vec::new(), ..put };
    assert!(encode(&constant).data.len() < 70, "{} bytes", encode(&constant).data.len());
}

#[test]
fn a_summary_says_what_the_points_say() {
    let count = 300;
    let floats: Vec<f64> = (0..count).map(|at| f64::from(at % 50) - 10.0).collect();
    let mut put = rows(
        Cells::Bits { kind: 11, bits: floats.iter().map(|float| float.to_bits()).collect(), absent: Vec::new() },
        count as usize,
    );
    put.statuses = Vec::new();
    let encoded = encode(&put);
    let index = Index::read(&encoded.index, encoded.first, encoded.count).expect("an index");
    let summary = index.summary(&encoded.index, 0).expect("intact").expect("a summary");
    assert_eq!((summary.count, summary.min.number, summary.max.number), (256, -10.0, 39.0));
    assert_eq!((summary.first.time.0, summary.last.time.0), (put.times[0], put.times[255]));
    assert_eq!(summary.min.time.0, put.times[0]);
    assert!(summary.min.repeats);
    assert_eq!(summary.sum, floats[..256].iter().sum::<f64>());
    assert_eq!(summary.transitions, 255);
    assert_eq!(
        summary.zero,
        (0..255).filter(|at| floats[*at] == 0.0).map(|at| put.times[at + 1] - put.times[at]).sum::<i64>()
    );
    put.statuses = vec![0; 300];
    put.statuses[3] = 0x4000_0000;
    let encoded = encode(&put);
    let index = Index::read(&encoded.index, encoded.first, encoded.count).expect("an index");
    assert_eq!(index.summary(&encoded.index, 0).expect("intact"), None);
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<i16>().prop_map(Value::Int16),
        any::<f64>().prop_map(Value::Double),
        "[a-z]{0,5}".prop_map(|text| Value::text(&text)),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(|bytes| Value::ByteString(bytes.into())),
        prop::collection::vec(any::<i32>(), 0..9).prop_map(|list| Value::array(crate::value::Elements::Int32(list))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn samples_of_any_value_time_and_status_come_back(
        values in prop::collection::vec((any_value(), any::<i64>(), any::<i64>(), any::<u32>()), 1..700),
        is_uniform in any::<bool>(),
    ) {
        let mut times: Vec<i64> = values.iter().map(|(_, time, _, _)| *time >> 20).collect();
        times.sort_unstable();
        let cells = if is_uniform {
            let bits = values.iter().map(|(_, _, server, _)| server.cast_unsigned()).collect();
            let absent = values.iter().map(|(_, time, _, _)| time % 3 == 0).collect();
            Cells::Bits { kind: 9, bits, absent }
        } else {
            Cells::Values(values.iter().map(|(value, ..)| value.clone()).collect())
        };
        let put = Rows {
            times,
            servers: values.iter().map(|(_, _, server, _)| *server).collect(),
            statuses: values.iter().map(|(_, _, _, status)| *status & 0xc000_0000).collect(),
            seqs: values.iter().map(|(_, _, server, _)| server.cast_unsigned()).collect(),
            seq: 0,
            cells,
        };
        assert_same(&round_trip(&put), &put);
    }

    #[test]
    fn bytes_that_are_no_block_are_refused_and_nothing_more(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        count in 0usize..5000,
    ) {
        for outcome in [decode_all(&bytes, count), decode_data(&bytes, count)] {
            prop_assert!(outcome.is_err() || bytes.len() > 1);
        }
    }
}
