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

/// How it is calculated: by the bounding values that it uses (Part 13 §3.1.7, 1.05).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// From the samples of the interval alone.
    Values,
    /// With simple bounding values.
    Timed,
    /// With interpolated bounding values.
    Lines,
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
    family: Family,
}

macro_rules! catalogue {
    ($($aggregate:ident, $id:ident, $gives:ident, $takes:ident, $family:ident;)*) => {
        /// In the order of `Aggregate`.
        const CATALOGUE: &[Entry] = &[$(Entry {
            aggregate: Aggregate::$aggregate,
            id: ObjectId::$id,
            name: stringify!($aggregate),
            gives: Gives::$gives,
            takes: Takes::$takes,
            family: Family::$family,
        }),*];
    };
}

catalogue! {
    Interpolative, AggregateFunction_Interpolative, Source, Anything, Lines;
    Average, AggregateFunction_Average, Double, Numbers, Values;
    TimeAverage, AggregateFunction_TimeAverage, Double, Numbers, Lines;
    TimeAverage2, AggregateFunction_TimeAverage2, Double, Numbers, Timed;
    Total, AggregateFunction_Total, Double, Numbers, Lines;
    Total2, AggregateFunction_Total2, Double, Numbers, Timed;
    Minimum, AggregateFunction_Minimum, Source, Numbers, Values;
    Maximum, AggregateFunction_Maximum, Source, Numbers, Values;
    MinimumActualTime, AggregateFunction_MinimumActualTime, Source, Numbers, Values;
    MaximumActualTime, AggregateFunction_MaximumActualTime, Source, Numbers, Values;
    Range, AggregateFunction_Range, Source, Numbers, Values;
    Minimum2, AggregateFunction_Minimum2, Source, Numbers, Timed;
    Maximum2, AggregateFunction_Maximum2, Source, Numbers, Timed;
    MinimumActualTime2, AggregateFunction_MinimumActualTime2, Source, Numbers, Timed;
    MaximumActualTime2, AggregateFunction_MaximumActualTime2, Source, Numbers, Timed;
    Range2, AggregateFunction_Range2, Source, Numbers, Timed;
    AnnotationCount, AggregateFunction_AnnotationCount, Int32, Anything, Values;
    Count, AggregateFunction_Count, Int32, Anything, Values;
    DurationInStateZero, AggregateFunction_DurationInStateZero, Double, Numbers, Timed;
    DurationInStateNonZero, AggregateFunction_DurationInStateNonZero, Double, Numbers, Timed;
    NumberOfTransitions, AggregateFunction_NumberOfTransitions, Int32, Numbers, Values;
    Start, AggregateFunction_Start, Source, Anything, Values;
    End, AggregateFunction_End, Source, Anything, Values;
    Delta, AggregateFunction_Delta, Source, Numbers, Values;
    StartBound, AggregateFunction_StartBound, Source, Anything, Timed;
    EndBound, AggregateFunction_EndBound, Source, Anything, Timed;
    DeltaBounds, AggregateFunction_DeltaBounds, Source, Numbers, Timed;
    DurationGood, AggregateFunction_DurationGood, Double, Anything, Timed;
    DurationBad, AggregateFunction_DurationBad, Double, Anything, Timed;
    PercentGood, AggregateFunction_PercentGood, Double, Anything, Timed;
    PercentBad, AggregateFunction_PercentBad, Double, Anything, Timed;
    WorstQuality, AggregateFunction_WorstQuality, Status, Anything, Values;
    WorstQuality2, AggregateFunction_WorstQuality2, Status, Anything, Timed;
    StandardDeviationSample, AggregateFunction_StandardDeviationSample, Double, Numbers, Values;
    VarianceSample, AggregateFunction_VarianceSample, Double, Numbers, Values;
    StandardDeviationPopulation, AggregateFunction_StandardDeviationPopulation, Double, Numbers, Values;
    VariancePopulation, AggregateFunction_VariancePopulation, Double, Numbers, Values;
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

    pub(super) fn family(self) -> Family {
        self.entry().family
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
