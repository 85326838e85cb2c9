//! Changes of a cell file, and the entries that the events of the reload have.

/// A reload from `before` to `after`, each the nodes of a cell, or with `nodes:` what comes before them too.
pub(super) struct Row {
    pub name: &'static str,
    pub before: &'static str,
    pub after: &'static str,
    /// Entries of the GeneralModelChangeEvent by node; none: no event.
    pub model: &'static [&'static str],
    /// Entries of the SemanticChangeEvent.
    pub semantic: &'static [&'static str],
}

const ENUM_OFF: &str = "types: { enums: { Mode: { 0: Off, 1: On } } }\nnodes:\n  A: { type: Mode, value: 0 }\n  B: { \
                        type: Mode, value: 1 }\n";
const ENUM_STOP: &str = "types: { enums: { Mode: { 0: Stop, 1: On } } }\nnodes:\n  A: { type: Mode, value: 0 }\n  B: \
                         { type: Mode, value: 1 }\n";

const fn row(
    name: &'static str,
    before: &'static str,
    after: &'static str,
    model: &'static [&'static str],
    semantic: &'static [&'static str],
) -> Row {
    Row { name, before, after, model, semantic }
}

pub(super) const ROWS: &[Row] = &[
    row(
        "reordered",
        "  A: { type: Int32, value: 1 }\n  B: { type: Int32, value: 2 }\n",
        "  B: { value: 2, type: Int32 }\n  A: { type: Int32, value: 1 }\n",
        &[],
        &[],
    ),
    row("added tag", "", "  A: { type: Int32, value: 1 }\n", &["@cell 4"], &[]),
    row("removed tag", "  A: { type: Int32, value: 1 }\n", "", &["@cell 8"], &[]),
    row(
        "added folder",
        "",
        "  F: { children: { A: { type: Int32, value: 1 }, G: { children: { B: { type: Int32, value: 1 } } } } }\n",
        &["@cell 4", "F 1", "F.G 1"],
        &[],
    ),
    row(
        "removed folder",
        "  F: { children: { A: { type: Int32, value: 1 }, G: { children: { B: { type: Int32, value: 1 } } } } }\n",
        "",
        &["@cell 8", "F 2", "F.G 2"],
        &[],
    ),
    row(
        "one tag for another in a folder",
        "  F: { children: { A: { type: Int32, value: 1 }, B: { type: Int32, value: 1 } } }\n",
        "  F: { children: { A: { type: Int32, value: 1 }, C: { type: Int32, value: 1 } } }\n",
        &["F 12"],
        &[],
    ),
    row(
        "moved with an id",
        "  F: { children: { A: { type: Int32, value: 1, id: s=Own }, X: { type: Int32, value: 1 } } }\n  G: { \
             children: { Y: { type: Int32, value: 1 } } }\n",
        "  F: { children: { X: { type: Int32, value: 1 } } }\n  G: { children: { Y: { type: Int32, value: 1 }, A: \
             { type: Int32, value: 1, id: s=Own } } }\n",
        &["F 8", "G 4"],
        &[],
    ),
    row(
        "renamed with an id",
        "  A: { type: Int32, value: 1, id: i=1001 }\n",
        "  B: { type: Int32, value: 1, id: i=1001 }\n",
        &["@cell 12"],
        &[],
    ),
    row(
        "renamed without an id",
        "  A: { type: Int32, value: 1 }\n",
        "  B: { type: Int32, value: 1 }\n",
        &["@cell 12"],
        &[],
    ),
    row(
        "folder renamed with an id",
        "  F: { id: i=77, children: { A: { type: Int32, value: 1, id: s=Own } } }\n",
        "  G: { id: i=77, children: { A: { type: Int32, value: 1, id: s=Own } } }\n",
        &["@cell 12"],
        &[],
    ),
    row("type", "  A: { type: Int32, value: 1 }\n", "  A: { type: Double, value: 1 }\n", &["A 16"], &[]),
    row(
        "type and range",
        "  A: { type: Int32, value: 1, range: [0, 9] }\n",
        "  A: { type: Double, value: 1, range: [0, 8] }\n",
        &["A 16"],
        &["A"],
    ),
    row(
        "array",
        "  A: { type: Int32, array: 2, value: [1, 2] }\n",
        "  A: { type: Int32, array: 3, value: [1, 2, 3] }\n",
        &["A 16"],
        &[],
    ),
    row(
        "length",
        "  A: { type: String, length: 5, value: a }\n",
        "  A: { type: String, length: 9, value: a }\n",
        &["A 16"],
        &[],
    ),
    row("of", "  M: { of: Motor }\n", "  M: { of: Valve }\n", &["M 12"], &[]),
    row("tag to folder", "  A: { type: Int32, value: 1 }\n", "  A: { of: Motor }\n", &["@cell 12", "A 1"], &[]),
    row(
        "connection added",
        "",
        "connections: { sim: { driver: simulator }, two: { driver: simulator } }\nnodes:",
        &["@connections 4", "@connections.two 1"],
        &[],
    ),
    row(
        "connection removed",
        "connections: { sim: { driver: simulator }, two: { driver: simulator } }\nnodes:",
        "",
        &["@connections 8", "@connections.two 2"],
        &[],
    ),
    row("first connection", "connections: {}\nnodes:", "", &["@cell 4", "@connections 1", "@connections.sim 1"], &[]),
    row("last connection", "", "connections: {}\nnodes:", &["@cell 8", "@connections 2", "@connections.sim 2"], &[]),
    row(
        "unit and range of two tags",
        "  A: { type: Double, value: 1, unit: rpm }\n  B: { type: Double, value: 1, range: [0, 9] }\n",
        "  A: { type: Double, value: 1, unit: Hz }\n  B: { type: Double, value: 1, range: [0, 8] }\n",
        &[],
        &["A", "B"],
    ),
    row("texts of an enumeration", ENUM_OFF, ENUM_STOP, &[], &["A", "B"]),
    row(
        "a tag of an instance",
        "types: { objects: { Motor: { children: { Speed: { type: Double, value: 1, range: [0, 9] } } } } }\nnodes:\n  \
             M: { of: Motor }\n  N: { of: Motor }\n",
        "types: { objects: { Motor: { children: { Speed: { type: Double, value: 1, range: [0, 8] } } } } }\nnodes:\n  \
             M: { of: Motor }\n  N: { of: Motor }\n",
        &[],
        &["M.Speed", "N.Speed"],
    ),
    row(
        "both kinds",
        "  A: { type: Double, value: 1, range: [0, 9] }\n",
        "  A: { type: Double, value: 1, range: [0, 8] }\n  B: { type: Double, value: 1 }\n",
        &["@cell 4"],
        &["A"],
    ),
    row(
        "texts, rights and value",
        "  A: { type: Double, value: 1 }\n",
        "  A: { type: Double, value: 2, description: d, display_name: Shown, access: { write: [Operator] } }\n",
        &[],
        &[],
    ),
    row(
        "source and scale",
        "  A: { type: Double, source: 'ramp(low=2, high=2, period=10s)', poll: 1s }\n",
        "  A: { type: Double, source: 'ramp(low=3, high=3, period=10s)', poll: 2s, scale: { factor: 2 } }\n",
        &[],
        &[],
    ),
];
