//! From what was read to the compiled plant. Pure: no I/O, no clock.
//!
//! Heads first (connections, types), then nodes. What failed is left out, but its name stays known, so that one
//! mistake doesn't become many.

mod alarm;
mod audit;
mod brokers;
mod cell;
mod connection;
mod device;
mod fields;
mod flags;
mod formula;
mod history;
mod instance;
mod mirror;
mod node;
mod parts;
mod publish;
mod registers;
mod roles;
mod scope;
mod server;
mod simulate;
mod structs;
mod tag;
mod types;
mod value;
mod wanted;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::loaded::{Content, Loaded, Named};
use super::options::Options;
use super::report::Findings;
use super::source::{Ix, Place, Source};
use crate::drivers::{self, ConnectionPlan, Enumeration};
use crate::model::{Access, AccessIx, EnumIx, Plant, ServerPlan, StructIx, TagId, Unit};

/// Everything a server needs to run.
#[derive(Debug)]
pub struct Compiled {
    pub plant: Plant,
    pub server: ServerPlan,
    /// Indexed by `ConnectionIx`, as `plant.connections`.
    pub drivers: Vec<ConnectionPlan>,
    pub named: Named,
}

impl Compiled {
    /// The address space as text, with NodeIds, addresses and poll periods.
    pub fn tree(&self) -> String {
        let spelled = |connection: &ConnectionPlan, point: &drivers::PointPlan| {
            let reading = connection.settings.check_point(point).ok()?;
            let is_one = reading.spellings.is_empty();
            Some((point.tag, if is_one { point.address.clone() } else { reading.spellings }))
        };
        let all =
            self.drivers.iter().flat_map(|connection| connection.points.iter().map(move |point| (connection, point)));
        let addresses: HashMap<_, _> = all.filter_map(|(connection, point)| spelled(connection, point)).collect();
        self.plant.tree(&|tag| addresses.get(&tag).cloned())
    }
}

/// Most nodes of all cells together, after expansion.
const MOST_NODES: usize = 1_000_000;

pub(crate) use formula::longest_chain;
pub(super) use tag::{foreign_type_names, type_names};

pub(super) struct Compiler<'a> {
    source: Source,
    findings: &'a mut Findings,
    options: &'a Options,
    csv: HashMap<PathBuf, u16>,
    contents: HashMap<Ix, Content>,
    plant: Plant,
    drivers: Vec<ConnectionPlan>,
    /// Settings as written, also under `simulate`; indexed as `drivers`.
    real_settings: Vec<crate::drivers::Settings>,
    /// The entry of each connection, indexed as `drivers`.
    connection_nodes: Vec<Ix>,
    /// The address of each point.
    addresses: HashMap<TagId, Ix>,
    /// The place of each formula.
    formula_places: HashMap<TagId, Place>,
    /// Of each cell and enumeration that a point has.
    enumerations: HashMap<(u16, EnumIx), Arc<Enumeration>>,
    own_roles: Vec<String>,
    access: HashMap<Access, AccessIx>,
    units: HashMap<String, Arc<Unit>>,
    /// The help for each unit that is not known.
    unit_hints: HashMap<String, String>,
    /// Registers that the tags of a connection read, by the place of the connection.
    registers: BTreeMap<Ix, registers::Registers>,
    /// The mapping of each structure, by cell.
    struct_nodes: HashMap<(u16, StructIx), Ix>,
    node_count: usize,
    /// The key `anonymous` of the server file.
    anonymous: Option<Ix>,
    /// The entry of each publisher, indexed as `plant.publishers`.
    publish_entries: Vec<publish::Entry>,
    /// Places of a `stale_after` below `poll` that were reported.
    short_lived: HashSet<Ix>,
}

/// Compiles everything; the source comes back for the report. There is no result when there was an error.
pub(crate) fn compile(loaded: Loaded, options: &Options, findings: &mut Findings) -> (Option<Compiled>, Source) {
    let Loaded { source, server, cells, csv, contents, named } = loaded;
    let mut compiler = Compiler {
        source,
        findings,
        options,
        csv,
        contents,
        plant: Plant { simulated: options.simulate, ..Plant::default() },
        drivers: Vec::new(),
        real_settings: Vec::new(),
        connection_nodes: Vec::new(),
        addresses: HashMap::new(),
        formula_places: HashMap::new(),
        enumerations: HashMap::new(),
        own_roles: Vec::new(),
        access: HashMap::new(),
        units: HashMap::new(),
        unit_hints: HashMap::new(),
        registers: BTreeMap::new(),
        struct_nodes: HashMap::new(),
        node_count: 0,
        anonymous: None,
        publish_entries: Vec::new(),
        short_lived: HashSet::new(),
    };
    let lone = cells.first().map(|cell| cell.path.clone());
    let server = match server {
        Some((path, root)) => compiler.server(path, root),
        None => lone.map(|cell| compiler.lone_server(&cell)),
    };
    for cell in &cells {
        compiler.cell(cell);
    }
    compiler.order_derived();
    if let Some(server) = &server {
        compiler.warn_blind_guests(server);
    }
    compiler.check_registers();
    compiler.check_together();
    compiler.check_brokers(server.as_ref());
    if let Some(server) = &server {
        compiler.check_loops(server);
    }
    let Compiler { source, findings, plant, drivers, .. } = compiler;
    let is_good = !findings.has_errors();
    let compiled = server.filter(|_| is_good).map(|server| Compiled { plant, server, drivers, named });
    (compiled, source)
}

impl Compiler<'_> {
    /// Equal rules are stored once.
    fn access_ix(&mut self, access: Access) -> AccessIx {
        if let Some(ix) = self.access.get(&access) {
            return *ix;
        }
        let ix = AccessIx::next(self.plant.access.len());
        self.plant.access.push(access);
        self.access.insert(access, ix);
        ix
    }
}
