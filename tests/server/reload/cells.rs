//! Random cells for tests of reloads: small, with a bit of everything that a client can see.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use fastrand::Rng;

/// A node by the text of its keys; a folder has nodes below it.
#[derive(Debug, Clone)]
enum Node {
    Tag(String),
    Folder { keys: String, children: BTreeMap<String, Node> },
}

/// A cell that can be changed a little.
#[derive(Debug, Clone)]
pub(super) struct RandomCell {
    rng: Rng,
    nodes: BTreeMap<String, Node>,
    has_range: bool,
    has_devices: bool,
}

impl RandomCell {
    pub(super) fn new(seed: u64) -> RandomCell {
        RandomCell::with(seed, true)
    }

    /// A cell in which every value stands still.
    pub(super) fn without_devices(seed: u64) -> RandomCell {
        RandomCell::with(seed, false)
    }

    fn with(seed: u64, has_devices: bool) -> RandomCell {
        let rng = Rng::with_seed(seed);
        let mut cell = RandomCell { rng, nodes: BTreeMap::new(), has_range: true, has_devices };
        for _ in 0..6 {
            cell.change();
        }
        cell
    }

    /// One random change: a node comes, goes, or is another.
    pub(super) fn change(&mut self) {
        if self.rng.u8(..12) == 0 {
            self.has_range ^= true;
        }
        let name = format!("N{}", self.rng.u8(..5));
        let into = match self.nodes.get_mut(&format!("N{}", self.rng.u8(..5))) {
            Some(Node::Folder { children, .. }) if self.rng.bool() => children,
            _ => &mut self.nodes,
        };
        if self.rng.u8(..4) == 0 {
            into.remove(&name);
            return;
        }
        let node = match self.rng.u8(..6) {
            0 => Node::Folder { keys: keys_of_folder(&mut self.rng), children: BTreeMap::new() },
            _ => Node::Tag(tag(&mut self.rng, self.has_devices)),
        };
        into.insert(name, node);
    }

    /// The cell file. The order of the nodes is random: it is no difference.
    pub(super) fn text(&mut self) -> String {
        let range = if self.has_range { "range: [0, 10]" } else { "range: [0, 20]" };
        let mut text = format!(
            "schema: 1\ncell: press\nnamespace: urn:test:press\nconnections:\n  sim: {{ driver: simulator, allow_write: true }}\n\
             types:\n  enums:\n    Mode: {{ 0: Off, 1: On }}\n  objects:\n    Motor:\n      children:\n        \
             Speed: {{ type: Double, value: 1, {range} }}\n        On: {{ type: Boolean, value: true }}\nnodes:\n  \
             Stays: {{ type: Int32, value: 7, write: true }}\n  Motor1: {{ of: Motor }}\n"
        );
        write(&mut self.rng, &self.nodes, 1, &mut text);
        text
    }
}

fn keys_of_folder(rng: &mut Rng) -> String {
    match rng.u8(..3) {
        0 => String::new(),
        1 => "description: A place".to_owned(),
        _ => "display_name: { en: Place, de: Ort }".to_owned(),
    }
}

fn tag(rng: &mut Rng, has_devices: bool) -> String {
    let number = rng.u8(..4);
    let kind = match rng.u8(..9) {
        0 => format!("type: Int32, value: {number}"),
        1 => format!("type: Int32, value: {number}, write: true"),
        2 => format!("type: Double, value: {number}, write: true"),
        3 => format!("type: String, length: 9, value: t{number}, write: true"),
        4 => format!("type: Mode, value: {}", if number > 1 { "On" } else { "Off" }),
        5 => format!("type: Float, array: {}, value: [{}]", 2 + number, vec!["1"; usize::from(2 + number)].join(", ")),
        6 if has_devices => {
            format!("type: UInt32, source: 'counter(start=0, step={}, every=1h)', poll: 100ms", 1 + number)
        }
        7 => format!("type: Int16, value: {number}, enabled: false"),
        _ => format!("type: Double, value: {number}, unit: {}", if number > 1 { "rpm" } else { "Hz" }),
    };
    match rng.u8(..6) {
        0 => format!("{kind}, description: D{number}"),
        1 => format!("{kind}, access: {{ read: [Observer], write: [Operator] }}"),
        2 => format!("{kind}, display_name: Shown{number}"),
        3 if !kind.contains("String") && !kind.contains("Mode") => format!("{kind}, range: [0, {}]", 10 + number),
        _ => kind,
    }
}

fn write(rng: &mut Rng, nodes: &BTreeMap<String, Node>, depth: usize, text: &mut String) {
    let mut names: Vec<&String> = nodes.keys().collect();
    rng.shuffle(&mut names);
    let space = "  ".repeat(depth);
    for name in names {
        match &nodes[name] {
            Node::Tag(keys) => writeln!(text, "{space}{name}: {{ {keys} }}"),
            Node::Folder { keys, children } => {
                writeln!(text, "{space}{name}:").expect("a String takes all");
                let keys = if keys.is_empty() { "description: \"\"" } else { keys };
                writeln!(text, "{space}  {keys}\n{space}  children:").expect("a String takes all");
                write(rng, children, depth + 2, text);
                writeln!(text, "{space}    Always: {{ type: Boolean, value: true }}")
            }
        }
        .expect("a String takes all");
    }
}
