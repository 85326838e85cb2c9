//! The standard aggregates (Part 13, 1.05), calculated over any historian. A request walks its samples once,
//! forwards, and takes whole frames by their summaries where they lie in one interval.
//!
//! ```text
//! Request ─► intervals ─► values  the samples of an interval alone: Average, Minimum, Count, Start ...
//!                         timed   simple bounds: TimeAverage2, Minimum2, DurationGood, StartBound ...
//!                         lines   interpolated bounds: Interpolative, TimeAverage, Total
//!                            └──► outcome ─► samples
//! live samples ─► running ─► the same walks, an interval at a time
//! ```

mod at_time;
mod bounds;
mod catalogue;
mod configuration;
mod data;
mod intervals;
mod lines;
mod outcome;
mod regions;
mod running;
mod status;
mod timed;
mod values;

pub use at_time::at_time;
pub use bounds::Bounding;
pub use catalogue::Aggregate;
pub use configuration::Configuration;
pub use running::{Running, RunningRequest};

use opcua::StatusCode;

use self::bounds::Shape;
use self::catalogue::Family;
use self::data::{Archive, Data};
use self::intervals::{Grid, Interval, Slice};
use self::lines::Extrapolation;
use self::outcome::Outcome;
use self::status::Rules;
use crate::history::{ArchiveId, Fault, Historian};
use crate::value::{BuiltIn, Sample, UaTime};

/// The resolution of the calculation is 1 ms (Part 13 §5.4.2.4, 1.05): the last sample of an archive counts as
/// 1 ms long, and the EffectiveEndTime is 1 ms before the end.
const TICKS_A_MS: i64 = 10_000;

/// The archive that is read, and how its values are connected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Source {
    pub archive: ArchiveId,
    pub kind: BuiltIn,
    pub is_array: bool,
    /// Values hold until the next one instead of sloping towards it. Values that are no numbers always hold.
    pub stepped: bool,
}

/// A processed read (ReadProcessedDetails, Part 11 §6.5.4, 1.05) of one aggregate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Request {
    pub source: Source,
    pub aggregate: Aggregate,
    pub configuration: Configuration,
    pub start: UaTime,
    /// Before `start`, time flows backwards.
    pub end: UaTime,
    /// ProcessingInterval in milliseconds; 0: one interval.
    pub interval: f64,
}

impl Request {
    /// The number of intervals, each of which gives one value; or the reason why it can't be calculated.
    pub fn check(&self) -> Result<u64, StatusCode> {
        if !self.aggregate.takes(self.source.kind, self.source.is_array) {
            return Err(StatusCode::BadAggregateInvalidInputs);
        }
        self.configuration.check()?;
        Ok(self.grid()?.count)
    }

    fn grid(&self) -> Result<Grid, StatusCode> {
        Grid::new(self.start, self.end, self.interval)
    }
}

impl Source {
    fn shape(&self) -> Shape {
        if self.stepped || self.is_array || !self.kind.is_number() { Shape::Stepped } else { Shape::Sloped }
    }

    /// The type of a whole value; arrays go through no f64.
    fn as_read(&self) -> BuiltIn {
        if self.is_array { BuiltIn::Variant } else { self.kind }
    }

    fn extrapolation(&self, configuration: &Configuration) -> Extrapolation {
        let slopes = configuration.use_sloped_extrapolation && self.shape() == Shape::Sloped;
        if slopes { Extrapolation::Sloped } else { Extrapolation::Held }
    }
}

/// The results of at most `max_values` intervals from number `first_interval` on, and the number of the interval that follows.
/// Memory is needed for these results alone. A request that `check` refuses ends in `Fault::Refused`.
pub fn process(
    historian: &dyn Historian,
    request: &Request,
    first_interval: u64,
    max_values: usize,
) -> Result<(Vec<Sample>, Option<u64>), Fault> {
    request.check().map_err(Fault::Refused)?;
    let grid = request.grid().map_err(Fault::Refused)?;
    let slice = grid.slice(first_interval, max_values);
    if slice.len == 0 {
        return Ok((Vec::new(), slice.next()));
    }
    let archive = Archive { historian, id: request.source.archive };
    let mut samples = calculate(&archive, request, &slice)?;
    slice.in_request_order(&mut samples);
    Ok((samples, slice.next()))
}

/// An aggregate with the rules for statuses and the way its values are connected.
#[derive(Debug, Clone, Copy)]
struct Method {
    aggregate: Aggregate,
    rules: Rules,
    shape: Shape,
}

/// The results of a slice in the order of time.
fn calculate(data: &dyn Data, request: &Request, slice: &Slice) -> Result<Vec<Sample>, Fault> {
    let source = &request.source;
    let Some(extent) = data.extent()?.map(|(first, last)| Extent { first, last }) else {
        return outcome::settle(|times| data.at(times), source, request.aggregate, &nothing(slice));
    };
    let (low, high) = slice.ends();
    let is_behind = low > extent.last && request.aggregate != Aggregate::Interpolative;
    let rules = Rules::new(request.aggregate, &request.configuration);
    let method = Method { aggregate: request.aggregate, rules, shape: source.shape() };
    let outcomes = if high < extent.first || is_behind {
        nothing(slice)
    } else {
        match request.aggregate.family() {
            Family::Values => values::calculate(data, request.aggregate, rules, slice, extent)?,
            Family::Timed => timed::calculate(data, method, slice, extent)?,
            Family::Lines => {
                let extrapolation = source.extrapolation(&request.configuration);
                lines::calculate(data, method, extrapolation, slice, extent)?
            }
        }
    };
    outcome::settle(|times| data.at(times), source, request.aggregate, &outcomes)
}

fn nothing(slice: &Slice) -> Vec<Outcome> {
    (0..slice.len).map(|at| Outcome::no_data(&slice.get(at))).collect()
}

/// Times of the first and the last sample of an archive.
#[derive(Debug, Clone, Copy)]
struct Extent {
    first: UaTime,
    last: UaTime,
}

impl Extent {
    /// Whether an interval holds a time between the first sample and the last.
    fn overlaps(&self, interval: &Interval) -> bool {
        let members = interval.members();
        self.first <= members.last && members.first <= self.last
    }

    /// Whether it is Partial (Part 13 §5.3.3.2, 1.05): it reaches beyond the data, or the request's end cuts it short.
    fn cuts(&self, interval: &Interval) -> bool {
        self.overlaps(interval) && (interval.is_rest || interval.low < self.first || self.last < interval.high)
    }
}
