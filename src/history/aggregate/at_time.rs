//! Values at given times (ReadAtTime, Part 11 §6.5.5, 1.05): the sample at that time, or a bounding value. Times in the same gap between two samples cost one look at the archive.

use super::bounds::{self, Bound, Bounding, Shape, Stretch};
use super::data::{self, Archive, Data};
use super::lines::Extrapolation;
use super::outcome::{self, Found, Outcome};
use super::status::{Class, Rules};
use super::{Aggregate, Configuration, Source};
use crate::history::{Fault, Historian, Point};
use crate::value::{Sample, UaTime};

/// One sample a time, in the order of the times. With simple bounds a Bad sample at the very time is the answer; else
/// the specification wants the nearest that isn't Bad, and a Bad sample is no value. BadNoData where nothing is.
pub fn at_time(
    historian: &dyn Historian,
    source: &Source,
    configuration: &Configuration,
    bounding: Bounding,
    times: &[UaTime],
) -> Result<Vec<Sample>, Fault> {
    let archive = Archive { historian, id: source.archive };
    let mut reader = Reader {
        data: &archive,
        rules: Rules::new(Aggregate::Interpolative, configuration),
        shape: source.shape(),
        extrapolation: source.extrapolation(configuration),
        bounding,
        end_of_data: archive.extent()?.map_or(UaTime(i64::MIN), |(_, last)| last),
        gap: None,
    };
    let mut samples = archive.at(times)?;
    // Neighbouring times are looked for one after the other, and each outcome keeps the place of its answer.
    let mut missing: Vec<(UaTime, usize)> = Vec::new();
    for (place, (time, sample)) in times.iter().zip(&mut samples).enumerate() {
        if !sample.as_ref().is_some_and(|sample| reader.serves(sample)) {
            *sample = None;
            missing.push((*time, place));
        }
    }
    missing.sort_unstable();
    let outcomes = missing.iter().map(|(time, _)| reader.outcome(*time)).collect::<Result<Vec<Outcome>, Fault>>()?;
    let settled = outcome::settle(|times| archive.at(times), source, Aggregate::Interpolative, &outcomes)?;
    for ((_, place), sample) in missing.iter().zip(settled) {
        samples[*place] = Some(sample);
    }
    Ok(samples.into_iter().map(|sample| sample.expect("found, or settled")).collect())
}

struct Reader<'a> {
    data: &'a dyn Data,
    rules: Rules,
    shape: Shape,
    extrapolation: Extrapolation,
    bounding: Bounding,
    end_of_data: UaTime,
    gap: Option<Gap>,
}

/// Two neighbouring samples, and what was stepped over between them.
#[derive(Debug, Clone, Copy)]
struct Gap {
    from: Option<Point>,
    to: Option<Point>,
    skipped: Option<UaTime>,
    second: Option<Point>,
}

impl Gap {
    fn holds(&self, time: UaTime) -> bool {
        self.from.is_none_or(|from| from.time < time) && self.to.is_none_or(|to| time < to.time)
    }
}

impl Reader<'_> {
    /// Whether a sample at a requested time is the answer.
    fn serves(&self, sample: &Sample) -> bool {
        self.bounding == Bounding::Simple || self.rules.usable(self.rules.class(&data::point(sample)))
    }

    fn outcome(&mut self, time: UaTime) -> Result<Outcome, Fault> {
        let bound = self.bound(time)?;
        let (status, found) = match (bound.class, bound.sample) {
            (Class::Bad, _) => (bound.status, Found::Nothing),
            (_, Some(at)) => (bound.marked_status(), Found::Sample { number: bound.number, at }),
            (_, None) => (bound.marked_status(), Found::Number(bound.number)),
        };
        Ok(Outcome { time, status, found })
    }

    fn bound(&mut self, time: UaTime) -> Result<Bound, Fault> {
        let gap = match self.gap {
            Some(gap) if gap.holds(time) => gap,
            _ => *self.gap.insert(self.look(time)?),
        };
        if self.bounding == Bounding::Simple {
            return Ok(bounds::simple(&self.rules, self.shape, gap.from.as_ref(), gap.to.as_ref(), time));
        }
        let stretch = Stretch {
            from: gap.from.as_ref(),
            to: gap.to.as_ref(),
            skipped: gap.skipped,
            second: gap.second.as_ref(),
            end_of_data: self.end_of_data,
        };
        Ok(bounds::interpolated(&self.rules, self.shape, &stretch, time))
    }

    fn look(&self, time: UaTime) -> Result<Gap, Fault> {
        if self.bounding == Bounding::Simple {
            let (from, to) = (data::before(self.data, time)?, data::from(self.data, time)?);
            return Ok(Gap { from, to, skipped: None, second: None });
        }
        let before = data::usable_before(self.data, time, &self.rules)?;
        let after = data::usable_from(self.data, time, &self.rules)?;
        let second = match (self.extrapolation, before.point, after.point) {
            (Extrapolation::Sloped, Some(last), None) => data::usable_before(self.data, last.time, &self.rules)?.point,
            _ => None,
        };
        Ok(Gap { from: before.point, to: after.point, skipped: before.skipped.or(after.skipped), second })
    }
}
