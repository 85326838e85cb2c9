//! The tags of a PLC for `opcell browse`: those of the controller and of its programs, down to their members.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::EthernetIpDriver;
use super::cip;
use super::client::{Client, Told};
use super::listing::{self, Kind, Member, Symbol};
use super::plc_type::PlcType;
use super::words;
use crate::drivers::driver::ConnectionOf;
use crate::drivers::listing::{Found, Listing, Start};
use crate::drivers::plan::ConnectionPlan;
use crate::drivers::poll::Poll;
use crate::drivers::reading::ProbeError;

/// Values that a listing has at most.
const MOST: usize = 200_000;
/// Structures within structures.
const DEEPEST: usize = 16;
/// Bytes of a definition in one reply.
const PART: u16 = 460;

pub(super) async fn browse(
    connection: ConnectionOf<'_, EthernetIpDriver>,
    start: &Start,
) -> Result<Listing, ProbeError> {
    // The points of the cell are not asked for.
    let alone = ConnectionPlan { points: Arc::default(), ..connection.plan.clone() };
    let mut client = Client::new(&[ConnectionOf { plan: &alone, ..connection }]);
    connect(&mut client, connection.plan).await?;
    let from = start.from.as_deref().map(|from| from.trim_end_matches('.').to_lowercase());
    let mut tree =
        Tree { client: &mut client, templates: HashMap::new(), listing: Listing::default(), start, from, visited: 0 };
    let listed = tree.all().await;
    let listing = std::mem::take(&mut tree.listing);
    client.disconnect().await;
    listed.map(|()| listing)
}

/// Connects for one look, within the connection's limit.
pub(super) async fn connect(client: &mut Client, plan: &ConnectionPlan) -> Result<(), ProbeError> {
    let within = plan.timeout.max(Duration::from_secs(1));
    let late = format!("{}: no connection within {} ms", plan.name, within.as_millis());
    let connected = tokio::time::timeout(within, client.connect()).await;
    connected.map_err(|_| ProbeError::Failed(late))?.map_err(|error| ProbeError::Failed(error.to_string()))
}

struct Tree<'a> {
    client: &'a mut Client,
    /// Members of each structure, by the number of its definition.
    templates: HashMap<u16, Arc<[Member]>>,
    listing: Listing,
    start: &'a Start,
    /// In lower case.
    from: Option<String>,
    /// Values and structures that were looked at.
    visited: usize,
}

/// A place in the tree: its names and its address.
#[derive(Clone)]
struct Place {
    names: Vec<String>,
    address: String,
}

impl Place {
    fn with(&self, name: &str) -> Place {
        let names = [&self.names[..], &[name.to_owned()]].concat();
        let dot = if self.address.is_empty() { "" } else { "." };
        Place { names, address: format!("{}{dot}{name}", self.address) }
    }

    /// An element of an array of structures.
    fn element(&self, indices: &[u32]) -> Place {
        let numbers: Vec<String> = indices.iter().map(u32::to_string).collect();
        let mut names = self.names.clone();
        if let Some(last) = names.last_mut() {
            *last = format!("{last}_{}", numbers.join("_"));
        }
        Place { names, address: format!("{}[{}]", self.address, numbers.join(",")) }
    }
}

impl Tree<'_> {
    async fn all(&mut self) -> Result<(), ProbeError> {
        let root = Place { names: Vec::new(), address: String::new() };
        let mut programs = Vec::new();
        for symbol in self.symbols(None).await? {
            if symbol.name.to_ascii_lowercase().starts_with("program:") {
                programs.push(symbol.name);
            } else {
                self.tag(&root, symbol).await?;
            }
        }
        for program in programs {
            if !self.leads_to(&program) {
                continue;
            }
            let short = program.split_once(':').map_or(&program[..], |(_, name)| name).to_owned();
            let place = Place { names: vec![short], address: program.clone() };
            for symbol in self.symbols(Some(&program)).await? {
                self.tag(&place, symbol).await?;
            }
        }
        Ok(())
    }

    /// All tags of the controller, or of a program.
    async fn symbols(&mut self, program: Option<&str>) -> Result<Vec<Symbol>, ProbeError> {
        let mut all = Vec::new();
        let mut next = 0;
        loop {
            let told = self.ask(cip::LIST, |out| listing::ask_symbols(out, program, next)).await?;
            let is_last = told.code.general != cip::PARTIAL;
            if is_last && told.code.general != cip::DONE {
                return Err(ProbeError::Failed(format!("the PLC lists no tags ({})", words::number(told.code))));
            }
            let some = listing::symbols(&told.data).ok_or_else(cut_off)?;
            let last = some.last().map(|symbol| symbol.instance);
            all.extend(some);
            match last {
                // Instances only rise, so the listing ends.
                Some(last) if !is_last && last >= next && last < u32::MAX && all.len() < MOST => next = last + 1,
                _ => return Ok(all),
            }
        }
    }

    async fn tag(&mut self, parent: &Place, symbol: Symbol) -> Result<(), ProbeError> {
        let Symbol { name, kind, dimensions, is_of_system, .. } = symbol;
        let kinds = ["map:", "task:", "routine:", "cxn:"];
        let is_internal = name.starts_with("__") || kinds.iter().any(|of| name.to_ascii_lowercase().starts_with(of));
        if is_of_system || is_internal || !is_name(&name) {
            return Ok(());
        }
        self.value(parent.with(&name), kind, &dimensions).await
    }

    /// A value, or the members of a structure; without recursion, so that no definition is too deep.
    async fn value(&mut self, place: Place, kind: Kind, dimensions: &[u32]) -> Result<(), ProbeError> {
        let mut open = vec![(place, kind, dimensions.to_vec(), 0)];
        while let Some((place, kind, dimensions, depth)) = open.pop() {
            self.visited += 1;
            if self.listing.is_cut {
                return Ok(());
            }
            if self.visited + open.len() > MOST || depth > DEEPEST {
                return Err(ProbeError::Failed(format!("more than {MOST} values; begin at a tag with --from")));
            }
            if !self.leads_to(&place.address) {
                continue;
            }
            let template = match kind {
                Kind::Plain(of) => {
                    self.add(&place, of, &dimensions);
                    continue;
                }
                Kind::Structure(template) => template,
            };
            let members = self.members(template).await?;
            if listing::is_text(&members) {
                self.add_text(&place, &dimensions);
                continue;
            }
            let elements = indices(&dimensions).ok_or_else(|| {
                ProbeError::Failed(format!("{} has too many elements; begin at one with --from", place.address))
            })?;
            for element in elements.iter().rev() {
                let place = if element.is_empty() { place.clone() } else { place.element(element) };
                for member in members.iter().rev().filter(|member| is_name(&member.name)) {
                    let dimensions = member.elements.into_iter().collect();
                    open.push((place.with(&member.name), member.kind, dimensions, depth + 1));
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, place: &Place, of: PlcType, dimensions: &[u32]) {
        if !self.is_wanted(&place.address) {
            return;
        }
        if of.data_type().is_empty() {
            self.listing.untyped += 1;
            return;
        }
        let count = elements(dimensions);
        let (data_type, count) = match (of, count) {
            // An array of BOOL counts its DWORDs.
            (PlcType::Dword, Some(words)) => ("Boolean", words.checked_mul(32)),
            (of, count) => (of.data_type(), count),
        };
        self.push(place, data_type, count);
    }

    fn add_text(&mut self, place: &Place, dimensions: &[u32]) {
        if self.is_wanted(&place.address) {
            self.push(place, "String", elements(dimensions));
        }
    }

    fn push(&mut self, place: &Place, data_type: &str, elements: Option<usize>) {
        let (path, address, data_type) = (self.below(place), place.address.clone(), data_type.to_owned());
        // Too many elements for any tag.
        let Some(dimensions) =
            elements.map_or(Some(Vec::new()), |count| u32::try_from(count).ok().map(|one| vec![one]))
        else {
            self.listing.untyped += 1;
            return;
        };
        // The PLC says of a tag's external access only that there is one.
        let found = Found { path, address, data_type, dimensions, may_write: true, ..Found::default() };
        self.listing.add(self.start, found);
    }

    /// The names of a place from where the listing begins.
    fn below(&self, place: &Place) -> Vec<String> {
        let above = self.from.as_ref().map_or(0, |from| from.split('.').count());
        // The value itself has its own name.
        let skipped = above.min(place.names.len().saturating_sub(1));
        place.names[skipped..].to_vec()
    }

    /// Whether the address begins with the text of `--from`.
    fn is_wanted(&self, address: &str) -> bool {
        self.from.as_ref().is_none_or(|from| is_below(&address.to_lowercase(), from))
    }

    /// Whether something below the address may be wanted.
    fn leads_to(&self, address: &str) -> bool {
        let lower = address.to_lowercase();
        self.from.as_ref().is_none_or(|from| is_below(&lower, from) || is_below(from, &lower))
    }

    async fn members(&mut self, template: u16) -> Result<Arc<[Member]>, ProbeError> {
        if let Some(known) = self.templates.get(&template) {
            return Ok(Arc::clone(known));
        }
        let told = self.ask(cip::ATTRIBUTES, |out| listing::ask_size(out, template)).await?;
        let size = listing::size(&told.data).filter(|_| told.code.general == cip::DONE).ok_or_else(cut_off)?;
        let mut data = Vec::new();
        while data.len() < size.bytes {
            let offset = u32::try_from(data.len()).map_err(|_| cut_off())?;
            let bytes = u16::try_from(size.bytes - data.len()).unwrap_or(u16::MAX).min(PART);
            let told = self.ask(cip::READ, |out| listing::ask_members(out, template, offset, bytes)).await?;
            if !matches!(told.code.general, cip::DONE | cip::PARTIAL) {
                return Err(ProbeError::Failed(format!("a structure cannot be read ({})", words::number(told.code))));
            }
            // Its end may be filled up to the size, or not.
            if told.data.is_empty() {
                break;
            }
            data.extend(told.data);
        }
        let members: Arc<[Member]> = listing::members(&data, size.members).ok_or_else(cut_off)?.into();
        self.templates.insert(template, Arc::clone(&members));
        Ok(members)
    }

    async fn ask(&mut self, service: u8, build: impl FnOnce(&mut Vec<u8>)) -> Result<Told, ProbeError> {
        self.client.ask(service, build).await.map_err(|error| ProbeError::Failed(error.to_string()))
    }
}

/// Whether a name can be a part of an address: with a dot or a bracket it would lead elsewhere.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | ':'))
}

/// Whether an address is another one, or a member or an element of it.
fn is_below(address: &str, other: &str) -> bool {
    address.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn cut_off() -> ProbeError {
    ProbeError::Failed("the PLC's listing is cut off".to_owned())
}

/// Elements of all dimensions together; `None` for a single value.
fn elements(dimensions: &[u32]) -> Option<usize> {
    let product = dimensions.iter().try_fold(1_usize, |all, one| all.checked_mul(*one as usize));
    product.filter(|_| !dimensions.is_empty())
}

/// The indices of each element; one without indices for a single value, `None` for too many.
fn indices(dimensions: &[u32]) -> Option<Vec<Vec<u32>>> {
    if elements(dimensions).unwrap_or(1) > MOST {
        return None;
    }
    let start = vec![Vec::new()];
    Some(dimensions.iter().fold(start, |all, size| {
        all.iter().flat_map(|indices| (0..*size).map(move |at| [&indices[..], &[at]].concat())).collect()
    }))
}
