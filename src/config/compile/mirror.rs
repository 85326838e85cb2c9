//! Folders with `browse`: their keys, and the nodes that were mirrored when the device was there.
//!
//! A device's listing makes no finding: a node that no tag can be made of is left out and counted.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::scope::{ConnectionRef, Into, MirrorFolder, Scope, Walk};
use super::{Compiler, MOST_NODES};
use crate::config::at::At;
use crate::config::de::{Keys, decode_entry};
use crate::config::source::Ix;
use crate::config::spec::{Browse, NodeSpec};
use crate::config::units;
use crate::drivers::{self, BrowsePlan, Delivery, Folder, Found, Mirroring, PointPlan, Start, Texts};
use crate::model::{
    DataType, EnumIx, EnumType, HistoryDeadband, HistoryIx, Node, NodeIx, NodeKind, NodeName, Origin, Shape, Tag, Text,
};

/// Levels and tags where the file says nothing.
const DEPTH: u32 = 10;
const MAX_NODES: u32 = 10_000;
/// Levels of nodes, as in a file.
const MOST_LEVELS: usize = 64;

/// A folder that mirrors, with what its tags share.
struct Mirror<'a> {
    of: &'a MirrorFolder,
    path: String,
    write: bool,
    poll: Duration,
    history: Option<HistoryIx>,
    /// Folders by their names below it.
    folders: HashMap<Vec<String>, NodeIx>,
    /// Names of the folder's own nodes.
    own: HashSet<Arc<str>>,
}

impl Compiler<'_> {
    pub(super) fn browse(&mut self, at: Ix, spec: &NodeSpec, folder: NodeIx, below: &Walk<'_>, scope: &mut Scope) {
        let mark = self.findings.len();
        if let Some(of) = &spec.of {
            let finding = self.findings.error(&self.source, at, "an instance of a type cannot have `browse`");
            finding.also(self.source.place(of.ix), "of this type").help("write `browse` at a folder of its own");
        }
        if matches!(below.into, Into::Type(_)) {
            let finding = self.findings.error(&self.source, at, "a type cannot have `browse`");
            finding.help("write it at a folder below `nodes`");
        }
        let Some(wanted) = self.browse_keys(at) else { return };
        let Some(link) = self.browsed_connection(at, below, scope) else { return };
        let Some(ix) = link.ix else { return };
        if self.source.is_scalar(wanted.address.ix)
            && let Err(error) = self.real_settings[ix.0 as usize].check_start(&wanted.address.value)
        {
            let place = self.source.part(wanted.address.ix, error.at);
            self.findings.error(&self.source, wanted.address.ix, error.message).at_part(place).help(error.help);
        }
        if let Some(write) = wanted.write.as_ref().filter(|write| write.value) {
            self.check_browse_write(write.ix, link, below, scope);
        }
        let most = wanted.max_nodes.map_or(MAX_NODES, |most| most.value);
        let depth = wanted.depth.map_or(DEPTH, |depth| depth.value);
        if self.findings.has_errors_since(mark) || self.options.simulate {
            return;
        }
        let start = Start { from: Some(wanted.address.value), depth: depth as usize, most: most as usize };
        scope.mirrors.push(MirrorFolder {
            node: folder,
            connection: ix,
            write: wanted.write.is_some_and(|write| write.value),
            depth: below.depth,
            inherited: below.inherited.clone(),
            start,
        });
    }

    /// The mirrored nodes of all folders; to be called when all nodes of the file are known.
    pub(super) fn mirrors(&mut self, scope: &mut Scope) {
        for of in std::mem::take(&mut scope.mirrors) {
            let cell = &self.plant.cells[usize::from(scope.index)];
            let folder = Folder { namespace: cell.namespace.clone(), path: cell.path(of.node) };
            let mirror = self.mirror_of(&of, scope);
            let plan = self.mirrored(folder, of.start.clone(), mirror, scope);
            Arc::make_mut(&mut self.drivers[of.connection.0 as usize].browses).push(plan);
        }
    }

    /// The short form, or the keys of the mapping.
    fn browse_keys(&mut self, at: Ix) -> Option<Browse> {
        if self.source.is_scalar(at) {
            let address = At { ix: at, value: self.source.text(at).to_owned() };
            return Some(Browse { address, depth: None, max_nodes: None, write: None });
        }
        decode_entry::<Browse>(&mut self.source, at, Keys::OWN, self.findings).0
    }

    /// The connection that the folder has or inherits, if its driver can list.
    fn browsed_connection(&mut self, at: Ix, below: &Walk<'_>, scope: &Scope) -> Option<ConnectionRef> {
        let Some(name) = &below.inherited.connection else {
            let finding = self.findings.error(&self.source, at, "this `browse` has no connection");
            finding.help("write `connection` here, in a folder above, or under `defaults`");
            return None;
        };
        // A name that is not known was reported at its place.
        let link = *scope.connections.get(&name.value)?;
        let driver = link.driver?;
        if driver.mirrors == Mirroring::Never {
            let can = drivers::DRIVERS.iter().filter(|of| of.mirrors != Mirroring::Never);
            let can: Vec<String> = can.map(|of| format!("`{}`", of.name)).collect();
            let message = format!("driver `{}` does not say what its device has", driver.name);
            let finding = self.findings.error(&self.source, at, message);
            finding.help(format!("write the tags under `children`; `browse` is for the drivers {}", can.join(", ")));
            return None;
        }
        Some(link)
    }

    fn check_browse_write(&mut self, at: Ix, link: ConnectionRef, below: &Walk<'_>, scope: &Scope) {
        if !link.allow_write {
            let name = scope.connections.iter().find(|(_, known)| known.key == link.key);
            let message =
                format!("connection `{}` has no `allow_write: true`", name.map_or("", |(name, _)| name.as_str()));
            let also = self.source.place(link.key);
            let finding = self.findings.error(&self.source, at, message);
            finding.also(also, "this connection").help("add it there, or delete `write`");
        }
        self.check_write_roles(at, &below.inherited);
    }

    fn mirror_of<'w>(&mut self, of: &'w MirrorFolder, scope: &mut Scope) -> Mirror<'w> {
        let driver = drivers::driver(self.real_settings[of.connection.0 as usize].driver());
        let is_pushed = driver.is_some_and(|driver| driver.delivery == Delivery::Pushed);
        let history = of.inherited.history.clone().and_then(|name| self.history_named(&name, scope));
        let cell = &self.plant.cells[usize::from(scope.index)];
        let own = cell.nodes[of.node.0 as usize..].iter().filter(|node| node.parent == Some(of.node));
        Mirror {
            of,
            path: cell.path(of.node),
            write: of.write && of.inherited.access.write != crate::model::Roles::NONE,
            poll: if is_pushed { Duration::ZERO } else { of.inherited.poll },
            history,
            folders: HashMap::new(),
            own: own.map(|node| Arc::clone(&node.name)).collect(),
        }
    }

    /// Makes the nodes that were mirrored.
    fn mirrored(&mut self, folder: Folder, start: Start, mut mirror: Mirror<'_>, scope: &mut Scope) -> BrowsePlan {
        let mut plan = BrowsePlan { folder, start, mirrored: 0, refused: 0, descriptions: 0 };
        let kept = self.options.mirrors.as_ref().and_then(|mirrors| mirrors.kept(&plan.folder));
        let driver = self.real_settings[mirror.of.connection.0 as usize].driver();
        // What was listed elsewhere is nothing of this folder.
        let is_same = |kept: &drivers::Kept| kept.driver == driver && Some(&kept.from) == plan.start.from.as_ref();
        let Some(kept) = kept.filter(|kept| is_same(kept)) else { return plan };
        plan.descriptions = kept.descriptions;
        let all = kept.values.iter().map(|found| (found, false)).chain(kept.gone.iter().map(|found| (found, true)));
        for (found, is_gone) in all.filter(|(found, _)| plan.start.reaches(&found.path)).take(plan.start.most) {
            if found.path.first().is_some_and(|name| mirror.own.contains(name.as_str())) {
                continue;
            }
            match self.mirrored_tag(found, is_gone, &mut mirror, scope) {
                Some(()) => plan.mirrored += 1,
                None => plan.refused += 1,
            }
        }
        plan
    }

    /// Makes a node of what was listed; `None` where no tag can be made of it.
    fn mirrored_tag(&mut self, found: &Found, is_gone: bool, mirror: &mut Mirror<'_>, scope: &mut Scope) -> Option<()> {
        let (name, folders) = found.path.split_last()?;
        let levels = usize::from(mirror.of.depth) + found.path.len();
        let paths = (1..=found.path.len()).map(|length| format!("{}.{}", mirror.path, found.path[..length].join(".")));
        let is_pinned = !scope.pinned.is_empty()
            && paths.into_iter().any(|path| scope.pinned.contains_key(&NodeName::Text(path.into())));
        if levels > MOST_LEVELS || self.node_count + found.path.len() > MOST_NODES || is_pinned {
            return None;
        }
        let shape = self.mirrored_shape(found, scope)?;
        let write = mirror.write && found.may_write;
        let mut point = PointPlan {
            tag: self.plant.tags.next(),
            address: found.address.clone(),
            words: Vec::new(),
            exponent: None,
            settings: self.real_settings[mirror.of.connection.0 as usize].no_keys(),
            kind: shape.data_type.wire(),
            elements: shape.element_count(),
            is_array: !shape.is_scalar(),
            length: None,
            poll: mirror.poll,
            read: true,
            write,
            write_every: None,
            enumeration: self.enumeration_of(&shape, scope),
            has_scale: false,
            is_gone,
            structure: None,
        };
        self.real_settings[mirror.of.connection.0 as usize].check_point(&point).ok()?;
        let parent = self.mirrored_folder(folders, mirror, scope);
        let text = |text: &String| (!text.is_empty()).then(|| Box::new(Text(vec![(String::new(), text.clone())])));
        let node = self.add_mirrored(parent, name, text(&found.description), mirror, scope);
        let inherited = &mirror.of.inherited;
        let origin = Origin::Device { connection: mirror.of.connection, read: true, write, on_stop: None };
        let stale_after = self.stale_after(&origin, mirror.poll, inherited);
        let history = mirror.history.filter(|ix| {
            let class = &self.plant.history[usize::from(ix.0)];
            // A deadband in percent needs a range, which this device does not give.
            !matches!(class.deadband, HistoryDeadband::Percent(_)) || shape.range.is_some() || !point.kind.is_number()
        });
        let access = self.access_ix(inherited.access);
        self.plant.tags.push(Tag {
            cell: scope.index,
            node,
            shape,
            origin,
            scale: None,
            deadband: 0.0,
            wraps: false,
            poll: mirror.poll,
            stale_after,
            enabled: inherited.enabled,
            access,
            history,
        });
        self.plant.cells[usize::from(scope.index)].nodes[node.0 as usize].kind = NodeKind::Variable(point.tag);
        if inherited.enabled {
            point.address.shrink_to_fit();
            Arc::make_mut(&mut self.drivers[mirror.of.connection.0 as usize].points).push(point);
        }
        Some(())
    }

    fn mirrored_shape(&mut self, found: &Found, scope: &mut Scope) -> Option<Shape> {
        let count = found.dimensions.iter().try_fold(1_u64, |count, size| count.checked_mul(u64::from(*size)))?;
        let has_sizes = found.dimensions.iter().all(|size| (1..=65_535).contains(size));
        if !has_sizes || found.dimensions.len() > 8 || count > super::tag::MOST_ELEMENTS {
            return None;
        }
        let data_type = match &found.texts {
            Some(texts) => DataType::Enum(self.mirrored_enum(texts, scope)?),
            None => DataType::BuiltIn(super::tag::built_in(&found.data_type)?),
        };
        let is_number = matches!(data_type, DataType::BuiltIn(kind) if kind.is_number());
        let unit = Some(&found.unit).filter(|unit| is_number && !unit.is_empty()).map(|unit| {
            let made = || Arc::new(units::find(unit).unwrap_or_else(|| units::unknown(unit)));
            Arc::clone(self.units.entry(unit.clone()).or_insert_with(made))
        });
        let range = found.range.filter(|(low, high)| is_number && low < high);
        Some(Shape { data_type, dimensions: found.dimensions.clone(), length: None, unit, range })
    }

    /// The enumeration of the cell with these values; a new one where there is none.
    fn mirrored_enum(&mut self, texts: &Texts, scope: &mut Scope) -> Option<EnumIx> {
        if texts.values.is_empty() {
            return None;
        }
        let values: Vec<(i32, Text)> =
            texts.values.iter().map(|(number, text)| (*number, Text(vec![(String::new(), text.clone())]))).collect();
        let enums = &mut self.plant.cells[usize::from(scope.index)].enums;
        for count in 1..=MOST_NODES {
            let name = if count == 1 { texts.name.clone() } else { format!("{}_{count}", texts.name) };
            match scope.enums.get(&name) {
                Some(Some(ix)) if enums[ix.0 as usize].values == values => return Some(*ix),
                Some(_) => continue,
                None if super::tag::built_in(&name).is_some() || scope.types.contains_key(&name) => continue,
                None => {}
            }
            let ix = EnumIx(u32::try_from(enums.len()).ok()?);
            enums.push(EnumType { name: name.as_str().into(), values });
            scope.enums.insert(name, Some(ix));
            return Some(ix);
        }
        None
    }

    /// The folder of these names below the mirror; those that are missing are made.
    fn mirrored_folder(&mut self, names: &[String], mirror: &mut Mirror<'_>, scope: &Scope) -> NodeIx {
        if let Some(known) = mirror.folders.get(names) {
            return *known;
        }
        let mut parent = mirror.of.node;
        for length in 1..=names.len() {
            parent = match mirror.folders.get(&names[..length]) {
                Some(known) => *known,
                None => {
                    let made = self.add_mirrored(parent, &names[length - 1], None, mirror, scope);
                    mirror.folders.insert(names[..length].to_vec(), made);
                    made
                }
            };
        }
        parent
    }

    fn add_mirrored(
        &mut self,
        parent: NodeIx,
        name: &str,
        description: Option<Box<Text>>,
        mirror: &Mirror<'_>,
        scope: &Scope,
    ) -> NodeIx {
        self.node_count += 1;
        let access = self.access_ix(mirror.of.inherited.access);
        let (kind, id) = (NodeKind::Folder, NodeName::Path);
        let node = Node { name: name.into(), id, parent: Some(parent), kind, display_name: None, description, access };
        let nodes = &mut self.plant.cells[usize::from(scope.index)].nodes;
        nodes.push(node);
        NodeIx(u32::try_from(nodes.len() - 1).unwrap_or(u32::MAX))
    }
}
