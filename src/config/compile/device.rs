//! Tags of a device: the source, its driver's half, and the point that goes to the driver.

use std::sync::Arc;
use std::time::Duration;

use super::Compiler;
use super::fields::OnDevice;
use super::scope::{ConnectionRef, Inherited, Scope};
use super::tag::Place;
use super::wanted::Wanted;
use crate::config::at::At;
use crate::config::de::{Keys, decode_entry};
use crate::config::docs::DOCS;
use crate::config::driver;
use crate::config::source::{Ix, Kind};
use crate::config::spec::{NodeSpec, SourceSpec};
use crate::drivers::simulator::{Simulator, check_signal};
use crate::drivers::{About, Delivery, Driver, NoKeys, Part, PointError, PointPlan, PointSettings, Reading, Settings};
use crate::model::{DataType, NodeIx, Origin, Shape};

impl Compiler<'_> {
    pub(super) fn device(
        &mut self,
        spec: &NodeSpec,
        at: Ix,
        place: Place,
        shape: Option<&Shape>,
        inherited: &Inherited,
        scope: &Scope,
    ) -> Option<(Origin, Duration)> {
        let found = self.connection_of_source(at, inherited, scope);
        // The other keys of the source are checked by the only driver that is possible.
        let link = found.unwrap_or_else(|| self.unknown_connection(at, scope));
        let wanted = self.wanted(at, link);
        let mapping = self.mapping_of(at);
        let keys = link.driver.and_then(|driver| driver::point(driver, &mut self.source, mapping, self.findings));
        let wanted = wanted?;
        let common = wanted.spec.as_ref();
        let write = common.and_then(|common| common.write.as_ref()).is_some_and(|write| write.value);
        let read = common.and_then(|common| common.read.as_ref()).is_none_or(|read| read.value);
        self.check_gates(&wanted, link, inherited, scope);
        let is_structure = shape.is_some_and(|shape| matches!(shape.data_type, DataType::Struct(_)));
        self.check_structure_keys(&wanted, shape, is_structure);
        let output = common.and_then(|common| common.on_stop).filter(|_| !is_structure);
        let on_stop = match output {
            Some(_) if !write && !wanted.is_whole => None,
            Some(raw) if !write => {
                let finding = self.findings.error(&self.source, raw.0, "`on_stop` needs `write: true`");
                finding.help("add `write: true`, or delete it");
                None
            }
            Some(raw) => shape.and_then(|shape| self.value(raw.0, shape, scope)),
            None => None,
        };
        if let Some(text) = &spec.simulate {
            self.check_signal(text, shape);
        }
        let real = match link.ix {
            Some(ix) => self.real_settings[ix.0 as usize].clone(),
            None => driver::stand_in(link.driver?)?,
        };
        let (Some(shape), Some(driver::Point { keys: settings, is_whole: true })) = (shape, keys) else {
            self.check_addresses(&real, &wanted, spec);
            return None;
        };
        let poll = match link.driver.filter(|driver| driver.delivery == Delivery::Pushed) {
            Some(driver) => {
                self.refuse_poll(driver, wanted.mapping);
                if self.options.simulate { inherited.poll } else { Duration::ZERO }
            }
            None => {
                let own = common.and_then(|common| common.poll).map(|poll| poll.0);
                own.or_else(|| real.poll_of(&wanted.address.value)).unwrap_or(inherited.poll)
            }
        };
        let mut point = PointPlan {
            tag: place.tag,
            address: wanted.address.value.clone(),
            words: wanted.words.clone(),
            exponent: spec.scale.as_ref().and_then(|scale| scale.value.exponent.as_ref()).map(|at| at.value.clone()),
            settings,
            kind: shape.data_type.wire(),
            elements: shape.element_count(),
            is_array: !shape.is_scalar(),
            length: shape.length,
            poll,
            read,
            write,
            write_every: self.write_every(common, write || !wanted.is_whole),
            enumeration: self.enumeration_of(shape, scope),
            // A scale that was refused is not checked a second time; a float needs none.
            has_scale: spec.scale.is_some() && (!place.has_wrong_scale || shape.data_type.wire().is_integer()),
            is_gone: false,
            structure: None,
        };
        if is_structure {
            let of = OnDevice { point: &point, shape, link, real: &real, wanted: &wanted, spec };
            point.structure = Some(Arc::new(self.fields_on_device(&of, scope)?));
        }
        if let Some(reading) = self.check_point(&point, &real, &wanted, spec) {
            if !place.has_wrong_scale {
                self.warn_of_point(&reading, &wanted, spec);
                self.check_digits(&reading, wanted.address.ix, spec, shape);
            }
            self.registers.entry(link.node).or_default().add(&reading, wanted.address.ix);
        }
        if let (Some(raw), Some(value), false) = (output, &on_stop, place.has_wrong_scale)
            && let Err(why) = real.check_output(&point, place.scale, value)
        {
            let shown = self.source.shown(raw.0).to_owned();
            let finding =
                self.findings.error(&self.source, raw.0, format!("`on_stop: {shown}` can never be written: {why}"));
            finding.help("write a value that fits the raw type, the bits, the length and the scale of this tag");
        }
        let connection = found?.ix?;
        if let Some(initial) = self.still_value(shape, spec, scope) {
            return Some((Origin::Memory { initial, write }, poll));
        }
        if inherited.enabled {
            self.addresses.insert(place.tag, wanted.address.ix);
            self.add_point(point, connection.0 as usize, spec, shape, place.node, scope);
        }
        Some((Origin::Device { connection, read, write, on_stop }, poll))
    }

    /// Keys of a source that a structure does not have, and one that only arrays of structures have.
    fn check_structure_keys(&mut self, wanted: &Wanted, shape: Option<&Shape>, is_structure: bool) {
        let Some(common) = &wanted.spec else { return };
        if let Some(output) = common.on_stop.filter(|_| is_structure) {
            let finding = self.findings.error(&self.source, output.0, "a structure has no `on_stop` in this version");
            finding.help("make a tag of the field that is to be written, with its own `on_stop`");
        }
        let is_array = is_structure && shape.is_some_and(|shape| !shape.is_scalar());
        if let Some(stride) = common.stride.as_ref().filter(|_| shape.is_some() && !is_array) {
            let finding = self.findings.error(&self.source, stride.ix, "`stride` is for arrays of structures");
            finding.help("delete it");
        }
    }

    /// A device that sends by itself has no poll period.
    fn refuse_poll(&mut self, driver: &About, mapping: Option<Ix>) {
        let Some(at) = mapping.and_then(|mapping| self.source.get(mapping, "poll")) else { return };
        let finding = self.findings.error(&self.source, at, format!("driver `{}` is not polled", driver.name));
        finding.help("delete `poll`, and write in `stale_after` how long the device may send nothing");
    }

    fn mapping_of(&self, at: Ix) -> Option<Ix> {
        (self.source.kind(at) == Kind::Mapping).then_some(at)
    }

    /// The connection that the source names, or inherits.
    fn connection_of_source(&mut self, at: Ix, inherited: &Inherited, scope: &Scope) -> Option<ConnectionRef> {
        let named = self.mapping_of(at).and_then(|mapping| self.source.get(mapping, "connection"));
        if let Some(ix) = named.filter(|ix| self.source.is_scalar(*ix)) {
            let name = At { ix, value: self.source.text(ix).to_owned() };
            return self.connection_named(&name, scope);
        }
        if let Some(name) = &inherited.connection {
            // A name that is not known was reported at its place.
            return scope.connections.get(&name.value).copied();
        }
        let help = match scope.connections.len() {
            0 => "add it under `connections:`",
            _ => "write `connection` here, in a folder above, or under `defaults`",
        };
        self.findings.error(&self.source, at, "this source has no connection").help(help);
        None
    }

    /// A stand-in for a connection that is not known.
    fn unknown_connection(&self, at: Ix, scope: &Scope) -> ConnectionRef {
        let mut drivers = scope.connections.values().map(|known| known.driver);
        let driver = drivers.next().flatten().filter(|driver| drivers.all(|other| other == Some(*driver)));
        ConnectionRef { key: at, node: at, ix: None, driver, allow_write: true }
    }

    fn wanted(&mut self, at: Ix, link: ConnectionRef) -> Option<Wanted> {
        if self.source.is_scalar(at) {
            let address = At { ix: at, value: self.source.text(at).to_owned() };
            return Some(Wanted { address, words: Vec::new(), spec: None, mapping: None, is_whole: true });
        }
        let owners: Vec<&str> = match link.driver {
            Some(driver) => DOCS.source_of(driver.name).into_iter().collect(),
            // Without a driver every driver's keys are known.
            None => DOCS.drivers().iter().filter_map(|of| of.source.as_deref()).collect(),
        };
        let keys = Keys::beside(&owners);
        let (spec, is_whole) = decode_entry::<SourceSpec>(&mut self.source, at, keys, self.findings);
        let spec = spec?;
        let (address, words) = self.address(spec.address.0, at);
        Some(Wanted { address, words, spec: Some(spec), mapping: Some(at), is_whole })
    }

    /// An address, or the words of a list with the first as the address. A faulty one is blank.
    fn address(&mut self, at: Ix, mapping: Ix) -> (At<String>, Vec<String>) {
        if self.source.is_scalar(at) {
            return (At { ix: at, value: self.source.text(at).to_owned() }, Vec::new());
        }
        let words: Vec<Ix> = match self.source.kind(at) {
            Kind::Sequence => self.source.children(at).collect(),
            _ => Vec::new(),
        };
        if words.is_empty() || !words.iter().all(|word| self.source.is_scalar(*word)) {
            if self.source.kind(at) != Kind::Bad && at != mapping {
                let finding = self.findings.error(&self.source, at, "expected an address, or a list of addresses");
                finding.help("write `holding/100`, or `[holding/101, holding/100]` for the registers of one value");
            }
            return (At { ix: at, value: String::new() }, Vec::new());
        }
        let words: Vec<String> = words.into_iter().map(|word| self.source.text(word).to_owned()).collect();
        (At { ix: at, value: words[0].clone() }, words)
    }

    /// A write needs the connection, the tag and a role.
    fn check_gates(&mut self, wanted: &Wanted, link: ConnectionRef, inherited: &Inherited, scope: &Scope) {
        let Some(common) = &wanted.spec else { return };
        let write = common.write.as_ref().filter(|write| write.value);
        if let Some(read) = common.read.as_ref().filter(|read| !read.value && write.is_none() && wanted.is_whole) {
            let finding = self.findings.error(&self.source, read.ix, "`read: false` needs `write: true`");
            finding.help("add `write: true`, or delete `read: false`: a tag must be read, written, or both");
        }
        let Some(write) = write else { return };
        if !link.allow_write {
            let name = scope.connections.iter().find(|(_, known)| known.key == link.key);
            let name = name.map_or("", |(name, _)| name.as_str());
            let also = self.source.place(link.key);
            let message = format!("connection `{name}` has no `allow_write: true`");
            let finding = self.findings.error(&self.source, write.ix, message);
            finding.also(also, "this connection").help("add it there, or delete `write`");
        }
        self.check_write_roles(write.ix, inherited);
    }

    fn check_point(
        &mut self,
        point: &PointPlan,
        settings: &Settings,
        wanted: &Wanted,
        spec: &NodeSpec,
    ) -> Option<Reading> {
        if !self.source.is_scalar(wanted.address.ix) && wanted.words.is_empty() {
            // It is missing, or not a text: reported already.
            let missing = PointError { message: String::new(), help: String::new(), at: 0..0, part: Part::Address };
            self.check_the_rest(point, settings, &missing, wanted, spec);
            return None;
        }
        let reading = match settings.check_point(point) {
            Ok(reading) => reading,
            Err(error) => {
                self.check_the_rest(point, settings, &error, wanted, spec);
                self.point_error(error, wanted, spec);
                return None;
            }
        };
        if reading.wants_quotes && self.source.kind(wanted.address.ix) == Kind::Plain {
            let shown = self.source.shown(wanted.address.ix).to_owned();
            let message = format!("other programs that read YAML take `{shown}` for another number");
            self.findings.warning(&self.source, wanted.address.ix, message).help(format!("write \"{shown}\""));
        }
        Some(reading)
    }

    fn warn_of_point(&mut self, reading: &Reading, wanted: &Wanted, spec: &NodeSpec) {
        if let Some(warning) = reading.warning.clone() {
            let ix = self.place_of(warning.part, wanted, spec);
            self.findings.warning(&self.source, ix, warning.message).help(warning.help);
        }
    }

    /// Further faults of a point, each found with the part of the one before left out.
    fn check_the_rest(
        &mut self,
        point: &PointPlan,
        settings: &Settings,
        first: &PointError,
        wanted: &Wanted,
        spec: &NodeSpec,
    ) {
        let mut point = point.clone();
        let mut seen = vec![first.part];
        while let Some(part) = seen.last().copied() {
            if !settings.leave_out(&mut point, part) {
                return;
            }
            match settings.check_point(&point) {
                Err(error) if !seen.contains(&error.part) => {
                    seen.push(error.part);
                    self.point_error(error, wanted, spec);
                }
                _ => return,
            }
        }
    }

    /// The addresses alone, where the rest of the point is not known.
    fn check_addresses(&mut self, settings: &Settings, wanted: &Wanted, spec: &NodeSpec) {
        let exponent = spec.scale.as_ref().and_then(|scale| scale.value.exponent.as_ref());
        let is_one = self.source.is_scalar(wanted.address.ix);
        let one = Some((wanted.address.value.clone(), Part::Address)).filter(|_| is_one);
        let words = wanted.words.iter().cloned().zip((0..).map(|at| Part::Entry("address", at)));
        let exponent = exponent.filter(|at| self.source.is_scalar(at.ix)).map(|at| (at.value.clone(), Part::Exponent));
        for (text, part) in one.into_iter().chain(words).chain(exponent) {
            if let Err(error) = settings.check_address(&text) {
                self.point_error(PointError { part, ..error }, wanted, spec);
            }
        }
    }

    /// The node to which a driver's finding belongs.
    fn place_of(&self, part: Part, wanted: &Wanted, spec: &NodeSpec) -> Ix {
        let scale = spec.scale.as_ref();
        let of_key = |key| wanted.mapping.and_then(|mapping| self.source.get(mapping, key));
        let found = match part {
            Part::Address => None,
            Part::Exponent => scale.and_then(|scale| scale.value.exponent.as_ref()).map(|at| at.ix),
            Part::Key("length") => spec.length.as_ref().map(|at| at.ix),
            Part::Key("scale") => scale.map(|at| at.ix),
            Part::Key(key) => of_key(key),
            Part::Entry(key, at) => of_key(key).map(|list| self.source.children(list).nth(at).unwrap_or(list)),
        };
        found.unwrap_or(wanted.address.ix)
    }

    pub(super) fn point_error(&mut self, error: PointError, wanted: &Wanted, spec: &NodeSpec) {
        let ix = self.place_of(error.part, wanted, spec);
        let finding = self.findings.error(&self.source, ix, error.message);
        if self.source.is_scalar(ix) {
            finding.at_part(self.source.part(ix, error.at));
        }
        if !self.source.is_secret(ix) {
            finding.help(error.help);
        }
    }

    fn add_point(
        &mut self,
        mut point: PointPlan,
        connection: usize,
        spec: &NodeSpec,
        shape: &Shape,
        node: NodeIx,
        scope: &Scope,
    ) {
        if self.options.simulate {
            if let Some(text) = &spec.simulate {
                point.address.clone_from(&text.value);
            } else if !self.has_own_signal(connection) {
                point.address = self.signal_for(shape, scope, node);
            }
            point.settings = PointSettings::of(NoKeys {});
            point.exponent = None;
            point.has_scale &= self.has_own_signal(connection) && spec.simulate.is_none();
            point.words.clear();
        }
        Arc::make_mut(&mut self.drivers[connection].points).push(point);
    }

    /// Checks `simulate:`, with or without `--simulate`.
    fn check_signal(&mut self, text: &At<String>, shape: Option<&Shape>) {
        let checked = match shape {
            Some(shape) => check_signal(&text.value, shape.data_type.wire()),
            None => Simulator::check_address(&text.value),
        };
        if let Err(error) = checked {
            let place = self.source.part(text.ix, error.at);
            self.findings.error(&self.source, text.ix, error.message).at_part(place).help(error.help);
        }
    }
}
