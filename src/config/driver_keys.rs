//! Schemas of the keys of each driver, by the driver's name, so that two drivers may give their structs the same names.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::drivers::{self, Driver, Visit};

/// The keys that a driver adds to a connection and to a source.
#[derive(Debug)]
pub(crate) struct DriverKeys {
    pub driver: &'static str,
    pub settings: Value,
    /// `None` for a driver without point keys.
    pub point: Option<Value>,
    /// Further structs and words that these two refer to, by their names.
    pub definitions: Map<String, Value>,
}

/// Name of the struct that reads a connection's keys of this driver.
pub(crate) fn connection_name(driver: &str) -> String {
    format!("Connection, driver {driver}")
}

/// Name of the struct that reads a source's keys of this driver.
pub(crate) fn source_name(driver: &str) -> String {
    format!("Source, driver {driver}")
}

/// Name of a further struct of a driver whose own name is taken.
pub(crate) fn nested_name(name: &str, driver: &str) -> String {
    format!("{name}, driver {driver}")
}

/// The keys of every driver. Definitions that are equal to one of `taken` or of an earlier driver share its name; others
/// of the same name get the driver's name as well.
pub(crate) fn all(taken: &Map<String, Value>) -> Vec<DriverKeys> {
    let mut taken = taken.clone();
    let mut all = drivers::each(&mut MakeKeys);
    for keys in &mut all {
        keys.rename(&mut taken);
    }
    all
}

struct MakeKeys;

impl Visit for MakeKeys {
    type Out = DriverKeys;

    fn driver<D: Driver>(&mut self) -> DriverKeys {
        let mut generator = SchemaSettings::draft2020_12().into_generator();
        let settings = generator.subschema_for::<D::Settings>().to_value();
        let point = generator.subschema_for::<D::Point>().to_value();
        let mut definitions = generator.take_definitions(true);
        let (settings, point) = (taken_out(settings, &mut definitions), taken_out(point, &mut definitions));
        let has_keys = point["properties"].as_object().is_some_and(|keys| !keys.is_empty());
        DriverKeys { driver: D::NAME, settings, point: Some(point).filter(|_| has_keys), definitions }
    }
}

/// The definition that a schema refers to.
fn taken_out(schema: Value, definitions: &mut Map<String, Value>) -> Value {
    let name = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/"));
    name.and_then(|name| definitions.remove(name)).unwrap_or(schema)
}

impl DriverKeys {
    fn rename(&mut self, taken: &mut Map<String, Value>) {
        let mut kept = Map::new();
        for (name, definition) in std::mem::take(&mut self.definitions) {
            let is_shared = taken.get(&name).is_some_and(|other| *other == definition);
            let is_taken = taken.contains_key(&name) && !is_shared;
            let new = if is_taken { nested_name(&name, self.driver) } else { name.clone() };
            if is_taken {
                let (from, to) = (format!("#/$defs/{name}"), format!("#/$defs/{new}"));
                let others = kept.values_mut().chain(self.point.as_mut()).chain([&mut self.settings]);
                others.for_each(|schema| point_to(schema, &from, &to));
            }
            if !is_shared {
                taken.insert(new.clone(), definition.clone());
            }
            kept.insert(new, definition);
        }
        self.definitions = kept;
    }
}

/// Replaces a reference wherever the schema has it.
fn point_to(schema: &mut Value, from: &str, to: &str) {
    match schema {
        Value::Object(map) => {
            for (key, inner) in map {
                match inner {
                    Value::String(text) if key == "$ref" && text == from => to.clone_into(text),
                    inner => point_to(inner, from, to),
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|inner| point_to(inner, from, to)),
        _ => {}
    }
}

/// Definitions of structs that are known by their own names.
pub(crate) fn definitions_of(add: impl FnOnce(&mut SchemaGenerator)) -> Map<String, Value> {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    add(&mut generator);
    generator.take_definitions(true)
}
