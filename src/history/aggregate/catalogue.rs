//! The standard aggregates by name and NodeId, and what each of them takes and gives (Part 13 §4.2.2 and §5.4.3, 1.05).

use opcua::{Identifier, NodeId, ObjectId};

use crate::value::BuiltIn;

/// A standard AggregateFunction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Aggregate {
    Interpolative,
    Average,
    TimeAverage,
    TimeAverage2,
    Total,
    Total2,
    Minimum,
    Maximum,
    MinimumActualTime,
    MaximumActualTime,
    Range,
    Minimum2,
    Maximum2,
    MinimumActualTime2,
    MaximumActualTime2,
    Range2,
    AnnotationCount,
    Count,
    DurationInStateZero,
    DurationInStateNonZero,
    NumberOfTransitions,
    Start,
    End,
    Delta,
    StartBound,
    EndBound,
    DeltaBounds,
    DurationGood,
    DurationBad,
    PercentGood,
    PercentBad,
    WorstQuality,
    WorstQuality2,
    StandardDeviationSample,
    VarianceSample,
    StandardDeviationPopulation,
    VariancePopulation,
}

/// Which bounding values a calculation uses (Part 13 §3.1.7, 1.05).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounding {
    /// The samples of the interval alone.
    None,
    /// From the nearest samples, whatever their status (§3.1.9).
    Simple,
    /// From the nearest samples that are not Bad (§3.1.8).
    Interpolated,
}

#[derive(Clone, Copy)]
enum Gives {
    Double,
    Int32,
    Source,
    Status,
}

#[derive(Clone, Copy, PartialEq)]
enum Takes {
    Numbers,
    Anything,
}

struct Entry {
    aggregate: Aggregate,
    id: ObjectId,
    name: &'static str,
    gives: Gives,
    takes: Takes,
    bounding: Bounding,
}

macro_rules! catalogue {
    ($($aggregate:ident, $id:ident, $gives:ident, $takes:ident, $bounding:ident;)*) => {
        /// In the order of `Aggregate`.
        const CATALOGUE: &[Entry] = &[$(Entry {
            aggregate: Aggregate::$aggregate,
            id: ObjectId::$id,
            name: stringify!($aggregate),
            gives: Gives::$gives,
            takes: Takes::$takes,
            bounding: Bounding::$bounding,
        }),*];
    };
}

catalogue! {
    Interpolative, AggregateFunction_Interpolative, Source, Anything, Interpolated;
    Average, AggregateFunction_Average, Double, Numbers, None;
    TimeAverage, AggregateFunction_TimeAverage, Double, Numbers, Interpolated;
    TimeAverage2, AggregateFunction_TimeAverage2, Double, Numbers, Simple;
    Total, AggregateFunction_Total, Double, Numbers, Interpolated;
    Total2, AggregateFunction_Total2, Double, Numbers, Simple;
    Minimum, AggregateFunction_Minimum, Source, Numbers, None;
    Maximum, AggregateFunction_Maximum, Source, Numbers, None;
    MinimumActualTime, AggregateFunction_MinimumActualTime, Source, Numbers, None;
    MaximumActualTime, AggregateFunction_MaximumActualTime, Source, Numbers, None;
    Range, AggregateFunction_Range, Source, Numbers, None;
    Minimum2, AggregateFunction_Minimum2, Source, Numbers, Simple;
    Maximum2, AggregateFunction_Maximum2, Source, Numbers, Simple;
    MinimumActualTime2, AggregateFunction_MinimumActualTime2, Source, Numbers, Simple;
    MaximumActualTime2, AggregateFunction_MaximumActualTime2, Source, Numbers, Simple;
    Range2, AggregateFunction_Range2, Source, Numbers, Simple;
    AnnotationCount, AggregateFunction_AnnotationCount, Int32, Anything, None;
    Count, AggregateFunction_Count, Int32, Anything, None;
    DurationInStateZero, AggregateFunction_DurationInStateZero, Double, Numbers, Simple;
    DurationInStateNonZero, AggregateFunction_DurationInStateNonZero, Double, Numbers, Simple;
    NumberOfTransitions, AggregateFunction_NumberOfTransitions, Int32, Numbers, None;
    Start, AggregateFunction_Start, Source, Anything, None;
    End, AggregateFunction_End, Source, Anything, None;
    Delta, AggregateFunction_Delta, Source, Numbers, None;
    StartBound, AggregateFunction_StartBound, Source, Anything, Simple;
    EndBound, AggregateFunction_EndBound, Source, Anything, Simple;
    DeltaBounds, AggregateFunction_DeltaBounds, Source, Numbers, Simple;
    DurationGood, AggregateFunction_DurationGood, Double, Anything, Simple;
    DurationBad, AggregateFunction_DurationBad, Double, Anything, Simple;
    PercentGood, AggregateFunction_PercentGood, Double, Anything, Simple;
    PercentBad, AggregateFunction_PercentBad, Double, Anything, Simple;
    WorstQuality, AggregateFunction_WorstQuality, Status, Anything, None;
    WorstQuality2, AggregateFunction_WorstQuality2, Status, Anything, Simple;
    StandardDeviationSample, AggregateFunction_StandardDeviationSample, Double, Numbers, None;
    VarianceSample, AggregateFunction_VarianceSample, Double, Numbers, None;
    StandardDeviationPopulation, AggregateFunction_StandardDeviationPopulation, Double, Numbers, None;
    VariancePopulation, AggregateFunction_VariancePopulation, Double, Numbers, None;
}

impl Aggregate {
    pub fn all() -> impl Iterator<Item = Aggregate> {
        CATALOGUE.iter().map(|entry| entry.aggregate)
    }

    /// The aggregate whose AggregateFunction Object this is.
    pub fn from_node_id(id: &NodeId) -> Option<Aggregate> {
        let Identifier::Numeric(number) = id.identifier else { return None };
        if id.namespace != 0 {
            return None;
        }
        CATALOGUE.iter().find(|entry| entry.id as u32 == number).map(|entry| entry.aggregate)
    }

    pub fn from_name(name: &str) -> Option<Aggregate> {
        CATALOGUE.iter().find(|entry| entry.name == name).map(|entry| entry.aggregate)
    }

    /// The AggregateFunction Object, in namespace 0.
    pub fn object(self) -> ObjectId {
        self.entry().id
    }

    /// BrowseName of the AggregateFunction Object.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// Built-in type of the results over a source of this type.
    pub fn result_kind(self, source: BuiltIn) -> BuiltIn {
        match self.entry().gives {
            Gives::Double => BuiltIn::Double,
            Gives::Int32 => BuiltIn::Int32,
            Gives::Source => source,
            Gives::Status => BuiltIn::StatusCode,
        }
    }

    /// Whether it can be calculated for scalars of this type at all; a Boolean counts as 0 or 1. Arrays are taken by
    /// those only that take everything.
    pub fn takes(self, source: BuiltIn, is_array: bool) -> bool {
        self.takes_anything() || (!is_array && (source.is_number() || source == BuiltIn::Boolean))
    }

    pub(super) fn takes_anything(self) -> bool {
        self.entry().takes == Takes::Anything
    }

    pub(super) fn bounding(self) -> Bounding {
        self.entry().bounding
    }

    fn entry(self) -> &'static Entry {
        &CATALOGUE[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_aggregate_is_found_by_its_node_id_and_its_name() {
        assert_eq!(CATALOGUE.len(), 37);
        for (at, aggregate) in Aggregate::all().enumerate() {
            assert_eq!(aggregate as usize, at, "{}", aggregate.name());
            assert_eq!(Aggregate::from_node_id(&NodeId::from(aggregate.object())), Some(aggregate));
            assert_eq!(Aggregate::from_name(aggregate.name()), Some(aggregate));
            let object = format!("AggregateFunction_{}", aggregate.name());
            assert_eq!(format!("{:?}", aggregate.object()), object);
        }
        assert_eq!(Aggregate::from_node_id(&NodeId::new(2, 2342)), None, "another namespace");
        assert_eq!(Aggregate::from_node_id(&NodeId::new(0, "Average")), None);
    }

    #[test]
    fn text_is_refused_where_a_number_is_needed() {
        //   aggregate                source            array  taken
        for (aggregate, source, is_array, taken) in [
            (Aggregate::Average, BuiltIn::String, false, false),
            (Aggregate::Average, BuiltIn::Boolean, false, true),
            (Aggregate::Average, BuiltIn::Double, true, false),
            (Aggregate::Minimum2, BuiltIn::DateTime, false, false),
            (Aggregate::Start, BuiltIn::String, false, true),
            (Aggregate::Count, BuiltIn::Double, true, true),
            (Aggregate::NumberOfTransitions, BuiltIn::String, false, false),
        ] {
            assert_eq!(aggregate.takes(source, is_array), taken, "{aggregate:?} of {source:?}");
        }
    }
}
