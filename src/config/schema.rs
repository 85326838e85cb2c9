//! The JSON Schemas for editors, made of those of the spec structs.
//!
//! The structs say what is read; an editor also wants to know what else may stand there (`{…}` for any value, `${…}` for marked ones,
//! a number where text is wanted), which words there are (types, drivers, roles), and that no other key is known.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::driver_keys::{self, DriverKeys};
use super::{compile, spec};
use crate::drivers::DRIVERS;
use crate::model::ROLES;

/// A file that a schema is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Cell,
    /// A file that a cell includes.
    Included,
    Server,
}

/// The JSON Schema of a kind of file.
pub fn schema(which: Which) -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let schema = match which {
        Which::Cell => generator.into_root_schema_for::<spec::CellFile>(),
        Which::Included => generator.into_root_schema_for::<spec::IncludedFile>(),
        Which::Server => generator.into_root_schema_for::<spec::ServerFile>(),
    };
    let mut schema = schema.to_value();
    let definitions = schema.get_mut("$defs").and_then(Value::as_object_mut);
    if let Some(definitions) = definitions.filter(|_| which != Which::Server) {
        let drivers = driver_keys::all(&driver_keys::definitions_of(spec::each_root));
        connections(definitions, &drivers);
        sources(definitions, &drivers);
        nodes(definitions);
    }
    if let Some(connections) = schema.get_mut("properties").and_then(|all| all.get_mut("connections")) {
        connections["additionalProperties"] = json!({ "$ref": "#/$defs/Connection" });
    }
    words(&mut schema);
    finish(&mut schema);
    let mut definitions = schema["$defs"].as_object().cloned().unwrap_or_default();
    let pattern = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    definitions.insert("template".into(), pattern("(^|[^$])\\{[^{}]+\\}"));
    definitions.insert("outside".into(), pattern("^\\$\\{(env|file):[^}]+\\}$"));
    schema["$defs"] = Value::Object(definitions);
    schema
}

/// Adds the properties and required keys of a struct that reads the same mapping as `whole`. A key that both have may be
/// either.
fn add_keys(whole: &mut Value, more: &Value) {
    for (key, schema) in more["properties"].as_object().into_iter().flatten() {
        let properties = whole["properties"].as_object_mut().expect("a struct has properties");
        match properties.get_mut(key) {
            None => {
                properties.insert(key.clone(), schema.clone());
            }
            Some(other) if other == schema => {}
            Some(other) => match other.get_mut("anyOf").and_then(Value::as_array_mut) {
                Some(choices) => choices.push(schema.clone()),
                None => *other = json!({ "anyOf": [other.clone(), schema] }),
            },
        }
    }
    let required = more["required"].as_array().cloned().unwrap_or_default();
    match whole["required"].as_array_mut() {
        Some(all) => all.extend(required),
        None => whole["required"] = Value::Array(required),
    }
}

/// The keys of a struct, without those of others.
fn bare(schema: &Value) -> Value {
    json!({ "type": "object", "properties": schema["properties"], "required": schema["required"].as_array().cloned().unwrap_or_default() })
}

/// Names that a node may have.
const NODE_NAME: &str = "^[^./@][^./]*$";

/// A connection has the keys of its driver.
fn connections(definitions: &mut Map<String, Value>, drivers: &[DriverKeys]) {
    if !definitions.contains_key("Connection") {
        return;
    }
    let mut rules = Vec::new();
    for (keys, known) in drivers.iter().zip(DRIVERS) {
        let name = driver_keys::connection_name(keys.driver);
        let mut whole = bare(&definitions["Connection"]);
        add_keys(&mut whole, &keys.settings);
        whole["description"] = json!(known.about);
        definitions.insert(name.clone(), whole);
        definitions.extend(keys.definitions.clone());
        rules.push(json!({
            "if": { "properties": { "driver": { "const": keys.driver } }, "required": ["driver"] },
            "then": { "$ref": format!("#/$defs/{name}") },
        }));
    }
    definitions["Connection"]["allOf"] = Value::Array(rules);
    // The keys of any driver are known here; the rule of each driver names its own.
    definitions["Connection"]["additionalProperties"] = json!(true);
}

/// A source may have the keys of any driver: its connection may be in another file.
fn sources(definitions: &mut Map<String, Value>, drivers: &[DriverKeys]) {
    let Some(source) = definitions.get_mut("SourceSpec") else { return };
    let mut whole = bare(source);
    drivers.iter().filter_map(|keys| keys.point.as_ref()).for_each(|point| add_keys(&mut whole, point));
    whole["description"] = source["description"].clone();
    *source = whole;
}

/// Keys that need or exclude each other.
fn nodes(definitions: &mut Map<String, Value>) {
    let Some(node) = definitions.get_mut("NodeSpec") else { return };
    node["allOf"] = json!([
        { "not": { "required": ["type", "children"] } },
        { "not": { "required": ["type", "of"] } },
        { "not": { "required": ["type", "browse"] } },
        { "not": { "required": ["of", "browse"] } },
        { "not": { "required": ["source", "value"] } },
    ]);
    node["dependentSchemas"] = json!({ "type": { "anyOf": [{ "required": ["source"] }, { "required": ["value"] }] } });
    let of_tags = ["source", "value", "write", "array", "length", "unit", "range", "scale", "deadband", "simulate"];
    let mut needs: Map<String, Value> = of_tags.iter().map(|key| ((*key).to_owned(), json!(["type"]))).collect();
    needs.insert("with".into(), json!(["of"]));
    node["dependentRequired"] = Value::Object(needs);
    node["properties"]["with"] = json!({ "type": "object", "description": node["properties"]["with"]["description"] });
    let source = json!([{ "type": ["string", "number"] }, { "$ref": "#/$defs/SourceSpec" }]);
    node["properties"]["source"]["anyOf"] = source;
    let browse = json!([{ "type": ["string", "number"] }, { "$ref": "#/$defs/Browse" }]);
    node["properties"]["browse"]["anyOf"] = browse;
    node["properties"]["children"]["propertyNames"] = json!({ "pattern": NODE_NAME });
    let id = &mut node["properties"]["id"];
    id["pattern"] = json!("^(?!nsu?=|svr=|@).");
    if let Some(types) = definitions.get_mut("Types") {
        let values = json!({ "type": "object", "propertyNames": { "pattern": "^-?[0-9]+$" }, "minProperties": 1 });
        types["properties"]["enums"]["additionalProperties"] = values;
    }
    if let Some(scale) = definitions.get_mut("Scale") {
        scale["allOf"] = json!([{ "not": { "required": ["raw", "factor"] } }]);
        scale["minProperties"] = json!(1);
    }
}

/// Words that an editor completes, and other products' words that are certainly none.
fn words(schema: &mut Value) {
    let types: Vec<&str> = compile::type_names().collect();
    // An own enumeration may have any name but that of a type in another case or language.
    let foreign = pattern_of(types.iter().copied().chain(compile::foreign_type_names()));
    let data_type = json!({ "anyOf": [
        { "enum": types },
        { "type": "string", "pattern": "^[^./@{}]", "not": { "anyOf": [{ "enum": types }, { "pattern": foreign }] } },
    ] });
    let role = json!({ "anyOf": [
        { "enum": ROLES },
        { "type": "string", "not": { "anyOf": [{ "enum": ROLES }, { "pattern": pattern_of(ROLES.iter().copied()) }] } },
    ] });
    let drivers: Vec<&str> = DRIVERS.iter().map(|driver| driver.name).collect();
    let mut set = |owner: &str, key: &str, value: &Value, is_list: bool| {
        let properties = match owner {
            "" => schema.get_mut("properties"),
            owner => {
                schema.get_mut("$defs").and_then(|all| all.get_mut(owner)).and_then(|one| one.get_mut("properties"))
            }
        };
        let Some(slot) = properties.and_then(|all| all.get_mut(key)) else { return };
        let mut new = if is_list { json!({ "type": "array", "items": value }) } else { value.clone() };
        new["description"] = slot["description"].clone();
        *slot = new;
    };
    set("NodeSpec", "type", &data_type, false);
    for key in ["read", "write", "call", "edit_history"] {
        set("Access", key, &role, true);
    }
    set("User", "roles", &role, true);
    set("", "anonymous", &role, true);
    set(
        "",
        "nodes",
        &json!({
            "type": "object",
            "additionalProperties": { "$ref": "#/$defs/NodeSpec" },
            "propertyNames": { "pattern": NODE_NAME },
        }),
        false,
    );
    set("", "schema", &json!({ "const": 1 }), false);
    set("Connection", "driver", &json!({ "enum": drivers }), false);
    for name in &drivers {
        set(&format!("Connection, driver {name}"), "driver", &json!({ "const": name }), false);
    }
}

/// The words in any case but their own.
fn pattern_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let any_case = |word: &str| -> String {
        let both = |c: char| match c.is_ascii_alphabetic() {
            true => format!("[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase()),
            false => c.to_string(),
        };
        word.chars().map(both).collect()
    };
    format!("^({})$", words.map(any_case).collect::<Vec<_>>().join("|"))
}

/// No nulls, no unknown keys, and what may stand in place of any value.
fn finish(schema: &mut Value) {
    match schema {
        Value::Array(all) => all.iter_mut().for_each(finish),
        Value::Object(map) => {
            for key in ["x-also", "x-unit", "x-password", "x-headers", "format"] {
                map.remove(key);
            }
            if let Some(Value::Array(choices)) = map.get_mut("anyOf") {
                choices.retain(|choice| choice["type"] != "null");
                if let [only] = choices.as_slice() {
                    let only = only.as_object().cloned().unwrap_or_default();
                    map.remove("anyOf");
                    map.extend(only);
                }
            }
            if let Some(Value::Array(kinds)) = map.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [only] = kinds.as_slice() {
                    let only = only.clone();
                    map.insert("type".into(), only);
                }
            }
            if map.contains_key("properties") && map.get("type").is_some_and(|kind| kind == "object") {
                map.entry("additionalProperties").or_insert(json!(false));
            }
            for (key, inner) in map.iter_mut() {
                match key.as_str() {
                    "properties" | "$defs" => {
                        inner.as_object_mut().into_iter().flat_map(Map::values_mut).for_each(value)
                    }
                    "items" | "additionalProperties" | "oneOf" => value(inner),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// The schema of a value: a scalar that is no plain text may also come from `{…}`, or from `${…}` where it is marked so; plain
/// text may look like
/// a number.
fn value(schema: &mut Value) {
    finish(schema);
    let Some(map) = schema.as_object_mut() else { return };
    let is_word = map.contains_key("enum") || map.contains_key("const") || map.contains_key("oneOf");
    if let Some(Value::Array(kinds)) = map.get_mut("type").filter(|kind| kind[0] == "string" && kind[1] == "object") {
        kinds.extend([json!("number"), json!("boolean")]);
        return;
    }
    let is_list = map.get("type").is_some_and(|kind| kind == "array" || kind == "object");
    let is_plain = map.get("type").is_some_and(|kind| kind == "string") && !map.contains_key("pattern") && !is_word;
    if is_plain {
        map.insert("type".into(), json!(["string", "number", "boolean"]));
        return;
    }
    // The definition that a reference names gets these choices itself.
    let is_open = !is_word && !map.contains_key("type") && !map.contains_key("anyOf");
    if is_list || is_open {
        return;
    }
    let is_secret = map.get("x-secret").is_some_and(|mark| mark == true);
    let name = if is_secret { "outside" } else { "template" };
    let template = json!({ "$ref": format!("#/$defs/{name}") });
    match map.get_mut("anyOf") {
        Some(Value::Array(choices)) => choices.push(template),
        _ => {
            let description = map.remove("description");
            let own = std::mem::take(map);
            map.insert("anyOf".into(), json!([own, template]));
            map.extend(description.map(|text| ("description".to_owned(), text)));
        }
    }
}
