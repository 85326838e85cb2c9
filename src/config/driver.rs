//! Decodes the keys of drivers: a connection's and a source's other half, each by the type that its driver has for it.
//!
//! Both halves of a mapping skip each other's keys, and suggestions know both.

use super::de::{Keys, decode, decode_entry};
use super::docs::DOCS;
use super::report::Findings;
use super::source::{Ix, Source};
use crate::drivers::{self, About, Driver, PointSettings, Settings, Visit};

/// The driver's half of a connection.
pub(crate) fn settings(driver: &About, source: &Source, at: Ix, findings: &mut Findings) -> Option<Settings> {
    drivers::named(driver.name, &mut DecodeSettings { source, at, findings }).flatten()
}

struct DecodeSettings<'a, 'f> {
    source: &'a Source,
    at: Ix,
    findings: &'f mut Findings,
}

impl Visit for DecodeSettings<'_, '_> {
    type Out = Option<Settings>;

    fn driver<D: Driver>(&mut self) -> Option<Settings> {
        let keys = Keys::of_driver(D::NAME, DOCS.connection_of(D::NAME), &["Connection"]);
        let decoded = quietly(self.findings, |findings| decode::<D::Settings>(self.source, self.at, keys, findings));
        decoded.map(Settings::of::<D>)
    }
}

/// Settings by which addresses are checked when the connection's own had findings.
pub(crate) fn stand_in(driver: &About) -> Option<Settings> {
    struct StandIn;

    impl Visit for StandIn {
        type Out = Settings;

        fn driver<D: Driver>(&mut self) -> Settings {
            Settings::of::<D>(D::stand_in())
        }
    }
    drivers::named(driver.name, &mut StandIn)
}

/// The keys of a point, and whether all of them were understood.
pub(crate) struct Point {
    pub keys: PointSettings,
    pub is_whole: bool,
}

/// The driver's half of a source; `at` is `None` for one that is an address alone.
pub(crate) fn point(driver: &About, source: &mut Source, at: Option<Ix>, findings: &mut Findings) -> Option<Point> {
    drivers::named(driver.name, &mut DecodePoint { source, at, findings }).flatten()
}

struct DecodePoint<'a, 'f> {
    source: &'a mut Source,
    at: Option<Ix>,
    findings: &'f mut Findings,
}

impl Visit for DecodePoint<'_, '_> {
    type Out = Option<Point>;

    fn driver<D: Driver>(&mut self) -> Option<Point> {
        let (Some(at), Some(owner)) = (self.at, DOCS.source_of(D::NAME)) else {
            return Some(Point { keys: PointSettings::of(D::Point::default()), is_whole: true });
        };
        let keys = Keys::of_driver(D::NAME, owner, &["SourceSpec"]);
        let (point, is_whole) =
            quietly(self.findings, |findings| decode_entry::<D::Point>(self.source, at, keys, findings));
        Some(Point { keys: PointSettings::of(point?), is_whole })
    }
}

/// Unknown keys are reported by the first half that reads the mapping; the second reports only faults of its own keys.
fn quietly<T>(findings: &mut Findings, read: impl FnOnce(&mut Findings) -> T) -> T {
    let mark = findings.len();
    let value = read(findings);
    findings.drop_repeats_since(mark);
    value
}
