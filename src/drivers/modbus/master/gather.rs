//! Values whose parts come in several requests of one scan: words that lie apart, and `split` values, each with the
//! `exponent` that it may have. A value is shown only when all of its parts came in the same round, a scan or the reads
//! after a write, and nothing was written to them between; it is never mixed from two rounds.

use opcua::StatusCode;

use super::Master;
use super::exponent::EXPONENTS;
use crate::drivers::batch::{Block, Span};
use crate::drivers::contract::Samples;
use crate::drivers::modbus::address::Address;
use crate::drivers::modbus::point::Register;
use crate::drivers::modbus::raw::Change;
use crate::drivers::poll::Round;
use crate::tags::RawSample;

/// The parts of one value as they come, those of scans and those of reads out of turn apart.
#[derive(Debug)]
pub(crate) struct Gathered {
    sets: [Set; 2],
}

/// The parts that came in one round.
#[derive(Debug, Clone)]
struct Set {
    round: u64,
    /// The last whole value, as a reply has it.
    raw: Vec<u8>,
    /// Registers or bits of the value, in its order.
    units: Vec<Option<u16>>,
    /// The exponent, if the value has one.
    exponent: Option<Option<u16>>,
}

/// One request's share of a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub address: Address,
    pub count: u16,
    /// The power of ten, and not the value itself.
    pub is_exponent: bool,
}

impl Register {
    /// Registers to read, in places that may come in requests of their own.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let part = |address, count| Part { address, count, is_exponent: false };
        let mut parts: Vec<Part> = match (self.words.is_empty(), self.split) {
            (false, _) => self.words.iter().map(|word| part(*word, 1)).collect(),
            (true, true) => {
                let registers = self.address.start..=self.address.start + (self.count() - 1);
                registers.map(|start| part(Address { start, ..self.address }, 1)).collect()
            }
            (true, false) => vec![part(self.address, self.count())],
        };
        parts.extend(self.exponent.map(|address| Part { address, count: 1, is_exponent: true }));
        parts
    }

    /// `None` for a value that comes whole.
    pub(crate) fn gathered(&self) -> Option<Gathered> {
        let is_whole = self.words.is_empty() && !self.split;
        (!is_whole).then(|| {
            let units = vec![None; usize::from(self.count())];
            let set = Set { round: 0, raw: Vec::new(), units, exponent: self.exponent.map(|_| None) };
            Gathered { sets: [set.clone(), set] }
        })
    }

    /// Places of a span's units in the value.
    fn units_of(&self, span: &Span, area: u8) -> Vec<(usize, u32)> {
        let in_list = |at: u32| {
            let names = |word: &Address| word.area as u8 == area && u32::from(word.start) == at;
            self.words.iter().position(names)
        };
        let in_row = |at: u32| at.checked_sub(self.address.start.into()).map(|at| at as usize);
        let place = |at: u32| if self.words.is_empty() { in_row(at) } else { in_list(at) };
        (span.start..span.end()).filter_map(|at| Some((place(at)?, at))).collect()
    }
}

impl Master {
    /// Where the parts of a gathered point lie.
    pub(super) fn gathered_spans(&self, point: u32) -> Vec<Span> {
        let Some(at) = self.points.get(point as usize) else { return Vec::new() };
        let span = |part: Part| Span {
            space: u32::from(at.device) << 8 | part.address.area as u32,
            start: part.address.start.into(),
            count: part.count.into(),
            id: point * 2 + u32::from(part.is_exponent),
        };
        at.register.as_ref().map_or_else(Vec::new, |register| register.parts().into_iter().map(span).collect())
    }

    /// Takes the parts of a reply; values that are whole with them are samples.
    pub(super) fn take_parts(&mut self, block: &Block, round: Round, out: &mut Samples) {
        for span in &block.spans {
            let point = &mut self.points[(span.id >> 1) as usize];
            if let (Some(register), Some(gathered)) = (&point.register, &mut point.gathered) {
                let whole = gathered.take(register, span, round, &self.wire.reply, block.start);
                let Some(sample) = whole else { continue };
                let (raw, start) = (gathered.raw(round).to_vec(), register.address.start);
                point.hold(&sample, &raw, start);
                out.push((point.tag, sample));
            }
        }
    }

    /// Parts that came before the link was opened count no longer.
    pub(super) fn forget_parts(&mut self) {
        self.points.iter_mut().filter_map(|point| point.gathered.as_mut()).for_each(Gathered::clear);
    }

    /// Parts that came before these registers of a device are written must not meet those that come after.
    pub(super) fn forget_written(&mut self, device: usize, changes: &[Change]) {
        for point in self.points.iter_mut().filter(|point| usize::from(point.device) == device) {
            let (Some(register), Some(gathered)) = (&point.register, &mut point.gathered) else { continue };
            let is_touched = |part: &Part| changes.iter().any(|change| change.touches(part.address, part.count));
            if register.parts().iter().any(is_touched) {
                gathered.clear();
            }
        }
    }
}

impl Gathered {
    pub(crate) fn clear(&mut self) {
        self.sets.iter_mut().for_each(Set::clear);
    }

    /// The last whole value of this kind of round.
    fn raw(&self, round: Round) -> &[u8] {
        &self.sets[usize::from(round.is_extra)].raw
    }

    /// Takes the span's part of a reply whose first register or bit is `base`; returns the value when all parts of the
    /// same round are there.
    pub(crate) fn take(
        &mut self,
        register: &Register,
        span: &Span,
        round: Round,
        reply: &[u8],
        base: u32,
    ) -> Option<RawSample> {
        let set = &mut self.sets[usize::from(round.is_extra)];
        if set.round != round.number {
            set.clear();
            set.round = round.number;
        }
        set.take(register, span, reply, base)
    }
}

impl Set {
    fn clear(&mut self) {
        self.units.fill(None);
        self.exponent = self.exponent.map(|_| None);
    }

    fn take(&mut self, register: &Register, span: &Span, reply: &[u8], base: u32) -> Option<RawSample> {
        let is_bits = register.address.area.is_bits() && span.id & 1 == 0;
        let unit = |at: u32| {
            let at = (at - base) as usize;
            match is_bits {
                true => reply.get(at / 8).map(|byte| u16::from(byte >> (at % 8) & 1)),
                false => reply.get(at * 2..at * 2 + 2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])),
            }
        };
        if span.id & 1 == 1 {
            self.exponent = Some(unit(span.start));
        } else {
            for (place, at) in register.units_of(span, area_of(span)) {
                if let Some(slot) = self.units.get_mut(place) {
                    *slot = unit(at);
                }
            }
        }
        self.whole(register)
    }

    fn whole(&mut self, register: &Register) -> Option<RawSample> {
        if self.units.iter().any(Option::is_none) || self.exponent == Some(None) {
            return None;
        }
        let units: Vec<u16> = self.units.iter().flatten().copied().collect();
        let exponent = self.exponent.flatten().map(u16::cast_signed);
        self.clear();
        self.raw = bytes(&units, register.address.area.is_bits());
        let power = exponent.filter(|power| EXPONENTS.contains(power)).and_then(|power| i8::try_from(power).ok());
        let value = match exponent.is_some() && power.is_none() {
            true => Err(StatusCode::BadSensorFailure),
            false => register.decode(&self.raw, register.address.start),
        };
        Some(RawSample::from(value).scaled(power))
    }
}

/// As a reply has them.
fn bytes(units: &[u16], is_bits: bool) -> Vec<u8> {
    match is_bits {
        true => {
            let byte = |eight: &[u16]| eight.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit == 1));
            units.chunks(8).map(byte).collect()
        }
        false => units.iter().flat_map(|word| word.to_be_bytes()).collect(),
    }
}

fn area_of(span: &Span) -> u8 {
    span.space.to_be_bytes()[3]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::driver::PointOf;
    use crate::drivers::modbus::settings::RegisterPoint;
    use crate::drivers::modbus::settings::TcpSettings;
    use crate::drivers::plan::{PointPlan, PointSettings};
    use crate::model::TagId;
    use crate::value::{BuiltIn, Value};

    fn register(words: &[&str], exponent: Option<&str>, split: bool) -> Register {
        let settings: TcpSettings = serde_json::from_str(r#"{ "host": "x" }"#).expect("settings");
        let point = PointPlan {
            tag: TagId(0),
            address: words[0].to_owned(),
            words: if words.len() > 1 { words.iter().map(|word| (*word).to_owned()).collect() } else { Vec::new() },
            exponent: exponent.map(str::to_owned),
            settings: PointSettings::of(RegisterPoint {
                raw_type: Some(crate::drivers::modbus::RawType::Uint32),
                split: Some(split),
                ..RegisterPoint::default()
            }),
            kind: BuiltIn::UInt32,
            elements: 1,
            is_array: false,
            length: None,
            poll: std::time::Duration::from_secs(1),
            read: true,
            write: false,
            write_every: None,
            enumeration: None,
            has_scale: exponent.is_some(),
            is_gone: false,
            structure: None,
        };
        Register::new(&settings.defaults(), PointOf::new(&point)).expect("a point")
    }

    fn spans(register: &Register) -> Vec<Span> {
        let span = |part: Part| Span {
            space: part.address.area as u32,
            start: part.address.start.into(),
            count: part.count.into(),
            id: u32::from(part.is_exponent),
        };
        register.parts().into_iter().map(span).collect()
    }

    #[test]
    fn a_value_is_shown_when_all_parts_came_in_one_scan_and_never_before() {
        for (words, exponent, split, wanted) in
            [(&["holding/690", "input/625"][..], None, false, 0x0001_0002), (&["holding/690"], None, true, 0x0001_0002)]
        {
            let register = register(words, exponent, split);
            let spans = spans(&register);
            assert_eq!(spans.len(), 2, "{words:?}");
            let mut gathered = register.gathered().expect("in parts");
            let mut read = |at: usize, number: u64, is_extra: bool, word: u16| {
                let round = Round { number, is_extra };
                let sample = gathered.take(&register, &spans[at], round, &word.to_be_bytes(), spans[at].start);
                sample.map(|sample| sample.value().expect("a number").clone())
            };
            let whole = |high: u32, low: u32| Some(Value::UInt32(high << 16 | low));
            assert_eq!((read(0, 1, false, 1), read(1, 1, false, 2)), (None, Some(Value::UInt32(wanted))));
            // The second part is missing in a scan, and the first one in the next.
            assert_eq!(read(0, 2, false, 3), None);
            assert_eq!(read(1, 3, false, 4), None, "torn between scans");
            assert_eq!((read(0, 4, false, 5), read(1, 4, false, 6)), (None, whole(5, 6)));
            // A part that is read out of turn, alone, neither makes a value nor costs one.
            assert_eq!(read(1, 5, true, 7), None);
            assert_eq!(read(0, 6, false, 8), None);
            assert_eq!(read(1, 7, true, 9), None);
            assert_eq!(read(1, 6, false, 9), whole(8, 9));
            // All parts are read out of turn in the middle of a scan.
            assert_eq!((read(0, 8, false, 1), read(0, 9, true, 2)), (None, None));
            assert_eq!((read(1, 9, true, 3), read(1, 8, false, 4)), (whole(2, 3), whole(1, 4)));
            // A late part, and one after which the master forgot the others.
            assert_eq!((read(1, 10, false, 5), read(1, 11, false, 6)), (None, None));
            assert_eq!((read(0, 12, false, 7), read(0, 13, true, 7)), (None, None));
            gathered.clear();
            let left = [12, 13].map(|number| Round { number, is_extra: number == 13 });
            let left = left.map(|round| gathered.take(&register, &spans[1], round, &[0, 8], spans[1].start));
            assert_eq!(left, [None, None]);
        }
    }

    #[test]
    fn an_exponent_that_is_read_after_its_value_scales_that_value() {
        let register = register(&["holding/10"], Some("holding/500"), true);
        let spans = spans(&register);
        let mut gathered = register.gathered().expect("in parts");
        let mut scan = |value: u16, exponent: i16| {
            let round = Round { number: value.into(), is_extra: false };
            for (span, word) in spans.iter().zip([0, value]) {
                assert_eq!(gathered.take(&register, span, round, &word.to_be_bytes(), span.start), None);
            }
            gathered.take(&register, &spans[2], round, &exponent.to_be_bytes(), 500).expect("whole")
        };
        for (value, exponent) in [(7, -2), (8, 3)] {
            let sample = scan(value, exponent);
            assert_eq!(sample.value(), Ok(&Value::UInt32(value.into())));
            assert_eq!(sample.exponent().map(i16::from), Some(exponent));
        }
        assert_eq!(scan(9, i16::MIN).value(), Err(StatusCode::BadSensorFailure));
    }
}
