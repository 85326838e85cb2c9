//! Whatever lies in the registers: every Good value is the one that was reckoned here, everything else is not Good;
//! and a write leaves in the registers what was written, or was refused and left them alone.
//!
//! Maps, contents and writes are random with a seed. `OPCELL_CASES=200` makes more of them, `OPCELL_SEED` others.

use std::sync::Arc;
use std::time::Duration;

use crate::map::{self, Map, Raw, Tag};
use crate::reckon::{self, Effect};
use fastrand::Rng;
use opcell::testing::config::{self, Options, Shown};
use opcell::testing::drivers;
use opcell::testing::drivers::modbus::Framing;
use opcell::testing::model::TagId;
use opcell::testing::tags::{TagStore, Written};
use opcell::value::{Sample, UaTime, Value};
use opcua::StatusCode;
use testkit::slave::{Faults, Slave};

const TAGS: usize = 60;
const ROUNDS: usize = 8;
const WRITES: usize = 120;

fn number_of(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

struct Bench {
    plant: Arc<opcell::testing::model::Plant>,
    tags: Arc<TagStore>,
    slave: Arc<Slave>,
    links: drivers::Links,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    marker: u16,
}

impl Bench {
    fn start(map: &Map, slave: &Arc<Slave>) -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("cell.yaml");
        std::fs::write(&path, &map.yaml).expect("a cell");
        let (compiled, report) = config::load(&path, &Options::default());
        let compiled = compiled.unwrap_or_else(|| panic!("{}\n{}", report.render(Shown::All), map.yaml));
        let plant = Arc::new(compiled.plant);
        let tags = Arc::new(TagStore::new(&plant));
        let mut tasks = Vec::new();
        let mut spawn = |_: String, task: futures_util::future::BoxFuture<'static, ()>| tasks.push(tokio::spawn(task));
        let (outputs, _) = tokio::sync::mpsc::unbounded_channel();
        let mut links = drivers::Links::new(&tags, outputs);
        links.apply(compiled.drivers, &plant, &mut spawn);
        Bench { plant, tags, slave: Arc::clone(slave), links, tasks, marker: 0 }
    }

    fn image(&self, map: &Map) -> Vec<u16> {
        self.slave.words.lock().expect("lock")[..usize::from(map.registers)].to_vec()
    }

    /// The marker is the first tag; the others follow in the order of the map.
    fn sample(&self, tag: usize) -> Sample {
        self.tags.with(TagId(u32::try_from(tag + 1).expect("few")), Clone::clone)
    }

    /// Waits until every value was read once more: two marks lie as far apart as a scan, which may begin between the
    /// parts of one value; so it is three.
    async fn whole_scan(&mut self) {
        for _ in 0..3 {
            self.marker = self.marker.wrapping_add(1);
            self.slave.words.lock().expect("lock")[0] = self.marker;
            let seen = async {
                while self.tags.with(TagId(0), |sample| sample.value != Value::UInt16(self.marker)) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), seen).await.expect("a scan ends");
        }
    }

    async fn write(&self, tag: usize, value: &Value) -> StatusCode {
        let id = TagId(u32::try_from(tag + 1).expect("few"));
        match self.tags.write_now(&self.plant, id, value, None, UaTime::now()) {
            Written::Done(status) => status,
            Written::Device { connection, write } => {
                let answer = self.tags.enqueue(connection, vec![write], Duration::from_secs(10)).expect("a place");
                answer.await.expect("an answer")[0]
            }
        }
    }

    async fn stop(self) {
        self.links.stop();
        for task in self.tasks {
            task.await.expect("no panic");
        }
    }
}

/// Registers that say something: ends of ranges, small numbers, sentinels, letters, floats, chance.
fn fill(dice: &mut Rng, map: &Map, slave: &Slave) {
    let mut words = slave.words.lock().expect("lock");
    for word in &mut words[1..usize::from(map.registers)] {
        *word = match dice.u8(0..6) {
            0 => [0, 1, 0x7fff, 0x8000, 0xffff, 0x7f80, 0x7ff0, 0x4142, 0x4100, 0x0041][dice.usize(0..10)],
            1 => dice.u16(0..10),
            _ => dice.u16(..),
        };
    }
    for tag in &map.tags {
        for places in tag.places.chunks(tag.width()) {
            if let Some(wanted) = wanted_words(dice, tag) {
                for (place, word) in places.iter().zip(wanted) {
                    words[usize::from(*place)] = if tag.swap { word.swap_bytes() } else { word };
                }
            }
        }
        if let Some(at) = tag.scale.and_then(|scale| scale.exponent) {
            let power = dice.i16(-6..6);
            let is_wild = dice.u8(0..5) == 0;
            words[usize::from(at)] = if is_wild { dice.u16(..) } else { power.cast_unsigned() };
        }
    }
}

/// Words of one element that a device would really send; `None` leaves them to chance.
fn wanted_words(dice: &mut Rng, tag: &Tag) -> Option<Vec<u16>> {
    if tag.raw == Raw::Text {
        let letters: Vec<u16> = (0..tag.width()).map(|_| dice.alphanumeric() as u16).collect();
        return match dice.u8(0..6) {
            0 => Some(letters),
            1 => Some(letters.iter().map(|letter| letter << 8 | dice.u16(0x20..0x7f)).collect()),
            2 => Some((0..tag.width()).map(|at| if at < 2 { 0x4142 } else { 0xffff }).collect()),
            3 => Some(letters.iter().map(|letter| letter << 8).collect()),
            _ => None,
        };
    }
    if tag.raw == Raw::Bytes {
        return None;
    }
    let bits = match dice.u8(0..4) {
        0 if !tag.invalid.is_empty() => tag.invalid[dice.usize(0..tag.invalid.len())],
        1 if tag.raw == Raw::F32 => u64::from((dice.f32() * 2e5 - 1e5).to_bits()),
        1 if tag.raw == Raw::F64 => (dice.f64() * 2e9 - 1e9).to_bits(),
        1 => {
            tag.values.map_or(dice.u64(0..300), |values| i64::from(values[dice.usize(0..values.len())]).cast_unsigned())
        }
        2 => (1 << 53) + dice.u64(0..1_000),
        _ => return None,
    };
    let mut words: Vec<u16> = (0..tag.width()).rev().map(|at| (bits >> (16 * at)) as u16).collect();
    if tag.low_first {
        words.reverse();
    }
    Some(words)
}

fn check_reads(map: &Map, bench: &Bench, name: &str) -> usize {
    let image = bench.image(map);
    let mut good = 0;
    for (at, tag) in map.tags.iter().enumerate() {
        let (sample, want) = (bench.sample(at), reckon::read(tag, &image));
        let words: Vec<String> = tag.places.iter().map(|at| format!("{:04x}", image[usize::from(*at)])).collect();
        let told = || format!("{name}: {tag:?}\nregisters {words:?}\nshows {sample:?}\nreckoned {want:?}");
        match &want {
            Ok(want) => {
                assert_eq!(sample.status, StatusCode::Good, "{}", told());
                assert!(reckon::agrees(tag, want, &sample.value), "{}", told());
                good += 1;
            }
            Err(code) => {
                assert!(sample.value.is_null(), "{}", told());
                // Of several elements the first that is wrong in its own way says why.
                let is_why = sample.status == *code || tag.elements.is_some() && sample.status.is_bad();
                assert!(is_why, "{}", told());
            }
        }
    }
    good
}

/// A value of the tag's type, as a client may send it.
fn value(dice: &mut Rng, tag: &Tag) -> Value {
    let small = dice.i64(-2_000..2_000);
    let number = match dice.u8(0..5) {
        0 => dice.i64(..),
        1 => small.rem_euclid(128),
        2 => (1 << 53) + small,
        _ => small,
    };
    let float = match dice.u8(0..8) {
        0 => [f64::NAN, f64::INFINITY, 1e300, -0.0, 3e38][dice.usize(0..5)],
        1 => number as f64,
        _ => small as f64 / 8.0,
    };
    match tag.kind {
        "Boolean" => Value::Boolean(dice.bool()),
        "SByte" => Value::SByte(number as i8),
        "Byte" => Value::Byte(number as u8),
        "Int16" => Value::Int16(number as i16),
        "UInt16" => Value::UInt16(number as u16),
        "UInt32" => Value::UInt32(number as u32),
        "Int64" => Value::Int64(number),
        "UInt64" => Value::UInt64(number.cast_unsigned()),
        "Float" => Value::Float(float as f32),
        "Double" => Value::Double(float),
        "String" => {
            let letters = ['a', 'Z', ' ', '0', 'Ö', 'ÿ', '€', '😀', '\0'];
            Value::text(&(0..dice.usize(0..8)).map(|_| letters[dice.usize(0..letters.len())]).collect::<String>())
        }
        "ByteString" => Value::ByteString((0..dice.usize(0..12)).map(|_| dice.u8(..)).collect::<Vec<u8>>().into()),
        "Int32" => Value::Int32(number as i32),
        _ => match tag.values {
            Some(values) if dice.u8(0..4) > 0 => Value::Int32(values[dice.usize(0..values.len())]),
            _ => Value::Int32(number as i32),
        },
    }
}

async fn check_writes(dice: &mut Rng, map: &Map, bench: &Bench, name: &str) -> usize {
    let mut taken = 0;
    for _ in 0..WRITES {
        let at = dice.usize(0..map.tags.len());
        let tag = &map.tags[at];
        let values: Vec<Value> = (0..tag.elements.unwrap_or(1)).map(|_| value(dice, tag)).collect();
        // Without a scale factor from the device nothing can be sent.
        let power = tag.scale.and_then(|scale| scale.exponent);
        let before = bench.image(map);
        if power.is_some_and(|at| !(-30..=30).contains(&before[usize::from(at)].cast_signed())) {
            continue;
        }
        let status = bench.write(at, &reckon::together(tag, values.clone())).await;
        let after = bench.image(map);
        let words: Vec<String> = tag.places.iter().map(|at| format!("{:04x}", after[usize::from(*at)])).collect();
        let told = || format!("{name}: {tag:?}\nwrote {values:?}: {status}\nregisters {words:?}");
        let others = |image: &[u16]| {
            let own = |at: usize| tag.places.iter().any(|place| usize::from(*place) == at);
            image.iter().enumerate().skip(1).filter(|(at, _)| !own(*at)).map(|(_, word)| *word).collect::<Vec<_>>()
        };
        assert!(others(&before) == others(&after), "other registers changed\n{}", told());
        let effect = reckon::write(tag, &values, &before);
        if status.is_good() {
            assert_ne!(effect, Effect::Refused, "{}", told());
            assert!(reckon::holds(tag, &values, &before, &after), "{}", told());
            taken += 1;
        } else {
            assert_ne!(effect, Effect::Holds, "{}", told());
            assert_eq!(status, StatusCode::BadOutOfRange, "{}", told());
            assert!(before == after, "a refused write left something\n{}", told());
        }
    }
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn every_good_value_is_right_and_every_write_is_held_or_refused() {
    let (cases, seed) = (number_of("OPCELL_CASES", 3), number_of("OPCELL_SEED", 1));
    let (mut good, mut taken) = (0, 0);
    for case in 0..cases {
        let mut dice = Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(case));
        let slave = Slave::new();
        let listening = slave.listen(Framing::Tcp, Faults::none()).await;
        let map = map::random(&mut dice, TAGS, listening.port);
        let mut bench = Bench::start(&map, &slave);
        for round in 0..ROUNDS {
            let name = format!("OPCELL_SEED={seed}, case {case}, round {round}");
            fill(&mut dice, &map, &slave);
            bench.whole_scan().await;
            good += check_reads(&map, &bench, &name);
            if round % 2 == 1 {
                taken += check_writes(&mut dice, &map, &bench, &name).await;
                bench.whole_scan().await;
                good += check_reads(&map, &bench, &name);
            }
        }
        bench.stop().await;
    }
    let cases = usize::try_from(cases).expect("few");
    assert!(
        good > cases * TAGS * ROUNDS / 4 && taken > cases * WRITES,
        "the maps are worth something: {good}, {taken}"
    );
}
