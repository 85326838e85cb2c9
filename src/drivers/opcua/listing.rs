//! The variables of a server as a cell file would read them: types, units, ranges and texts of enumerations.

use std::collections::HashMap;
use std::time::Duration;

use super::OpcUaClient;
use super::attributes::{
    ARRAY_DIMENSIONS, Attribute, BROWSE_NAME, DATA_TYPE, DESCRIPTION, USER_ACCESS_LEVEL, VALUE, VALUE_RANK,
};
use super::browse::{DATA_TYPE as DATA_TYPES, HAS_PROPERTY, HAS_SUBTYPE, VARIABLE, Wanted};
use super::client::Client;
use super::open::client_of;
use super::seen::{Meta, Seen, node_of, range_of, strings_of, text_of, unit_of, values_of};
use super::walk::{Walk, failed};
use crate::drivers::driver::ConnectionOf;
use crate::drivers::listing::{Found, Listing, Start, Texts};
use crate::drivers::push::Push;
use crate::drivers::reading::ProbeError;
use crate::stack::codec::{DataValue, Reader};
use crate::value::{BuiltIn, Elements, Value};

/// DataTypes of the standard that others are subtypes of.
const ENUMERATION: u32 = 29;
const BASE: [u32; 4] = [24, 26, 27, 28];
/// Steps up to a type of the standard.
const MOST_STEPS: usize = 20;
/// Elements of an array, and of one dimension of it.
const MOST_ELEMENTS: u64 = 1_000_000;
const MOST_SIZE: u32 = 65_535;
/// Time to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

pub(super) async fn browse(connection: ConnectionOf<'_, OpcUaClient>, start: &Start) -> Result<Listing, ProbeError> {
    let mut client = client_of(&[connection], Vec::new());
    let within = client.connect_within();
    let connected = tokio::time::timeout(within, client.connect()).await;
    connected
        .map_err(|_| failed(format!("no session within {} s", within.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    let listed = list(&mut client, start).await;
    // A server that does not answer forgets the session by itself.
    drop(tokio::time::timeout(GOODBYE, client.disconnect()).await);
    listed
}

async fn list(client: &mut Client, start: &Start) -> Result<Listing, ProbeError> {
    let mut walk = Walk::new(client, start).await?;
    let mut listing = Listing::default();
    let seen = walk.variables(&mut listing).await?;
    complete(&mut walk, seen, &mut listing).await?;
    Ok(listing)
}

/// A DataType, as far as a tag can have it.
#[derive(Debug, Clone)]
enum Type {
    Plain(BuiltIn),
    /// With the node of the DataType.
    Enumeration(Option<Texts>),
    /// Each value has its own.
    ByValue,
    /// No tag has it.
    Other,
}

/// A variable's own attributes.
struct Attributes {
    data_type: Option<Vec<u8>>,
    rank: i32,
    dimensions: Vec<u32>,
    is_readable: bool,
    may_write: bool,
    description: String,
    value: Value,
}

impl Attributes {
    fn of(read: &[DataValue]) -> Attributes {
        let value = |at: usize| {
            let good = read[at].status.is_none_or(|status| !status.is_bad());
            read[at].value.as_ref().filter(|_| good)
        };
        let integer = |at: usize| value(at).and_then(Value::as_integer);
        let access = integer(3);
        let dimensions = match value(2) {
            Some(Value::Array(array)) => match &array.elements {
                Elements::UInt32(sizes) => sizes.clone(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        Attributes {
            data_type: value(0).and_then(node_of),
            rank: integer(1).and_then(|rank| i32::try_from(rank).ok()).unwrap_or(-2),
            dimensions,
            is_readable: access.is_none_or(|access| access & 1 != 0),
            may_write: access.is_some_and(|access| access & 2 != 0),
            description: value(4).and_then(text_of).unwrap_or_default(),
            value: Value::Null,
        }
    }

    /// Sizes of the value; `None` where only the value has them.
    fn sizes(&self) -> Option<Vec<u32>> {
        match usize::try_from(self.rank) {
            Err(_) => (self.rank == -1).then(Vec::new),
            Ok(rank) => {
                let is_whole =
                    rank > 0 && self.dimensions.len() == rank && self.dimensions.iter().all(|size| *size > 0);
                is_whole.then(|| self.dimensions.clone())
            }
        }
    }
}

/// Finds out what the variables are, and adds them.
async fn complete(walk: &mut Walk<'_>, seen: Vec<Seen>, listing: &mut Listing) -> Result<(), ProbeError> {
    let wanted = [DATA_TYPE, VALUE_RANK, ARRAY_DIMENSIONS, USER_ACCESS_LEVEL, DESCRIPTION];
    let all = seen.iter().flat_map(|one| wanted.map(|id| Attribute { node: &one.node, id })).collect();
    let read = walk.values(all).await?;
    let mut attributes: Vec<Attributes> = read.chunks(wanted.len()).map(Attributes::of).collect();
    drop(read);
    let types = types(walk, &attributes).await?;
    let type_of = |one: &Attributes| one.data_type.as_ref().and_then(|node| types.get(node)).unwrap_or(&Type::ByValue);
    let unclear: Vec<usize> = (0..seen.len())
        .filter(|at| matches!(type_of(&attributes[*at]), Type::ByValue) || attributes[*at].sizes().is_none())
        .collect();
    let values = walk.values(unclear.iter().map(|at| Attribute { node: &seen[*at].node, id: VALUE }).collect()).await?;
    for (at, value) in unclear.into_iter().zip(values) {
        attributes[at].value = value.value.unwrap_or_default();
    }
    let places: Vec<(usize, Meta, &[u8])> = (0..)
        .zip(&seen)
        .flat_map(|(at, one)| one.properties.iter().map(move |property| (at, property.meta, &*property.node)))
        .collect();
    let read = walk.values(places.iter().map(|(_, _, node)| Attribute { node, id: VALUE }).collect()).await?;
    let mut metas: HashMap<usize, Vec<(Meta, Value)>> = HashMap::new();
    for ((at, meta, _), value) in places.into_iter().zip(read) {
        metas.entry(at).or_default().push((meta, value.value.unwrap_or_default()));
    }
    for (at, (one, own)) in seen.iter().zip(&attributes).enumerate() {
        let metas = metas.remove(&at).unwrap_or_default();
        match found(walk, one, own, type_of(own), &metas) {
            Some(found) => listing.add(walk.start, found),
            None => listing.untyped += 1,
        }
    }
    Ok(())
}

/// A variable as a tag would read it; `None` where no tag can.
fn found(walk: &Walk<'_>, seen: &Seen, own: &Attributes, of: &Type, metas: &[(Meta, Value)]) -> Option<Found> {
    if !own.is_readable {
        return None;
    }
    let (data_type, mut texts) = match of {
        Type::Plain(kind) => (*kind, None),
        Type::Enumeration(texts) => (BuiltIn::Int32, texts.clone()),
        Type::ByValue => (kind_of(&own.value)?, None),
        Type::Other => return None,
    };
    let dimensions = match own.sizes() {
        Some(sizes) => sizes,
        None => sizes_of(&own.value)?,
    };
    let product: u64 = dimensions.iter().map(|size| u64::from(*size)).product();
    let is_fit = dimensions.iter().all(|size| (1..=MOST_SIZE).contains(size)) && product <= MOST_ELEMENTS;
    if !is_fit || dimensions.len() > 8 {
        return None;
    }
    let meta = |wanted: Meta| metas.iter().filter(move |(meta, _)| *meta == wanted).map(|(_, value)| value);
    let own_texts = meta(Meta::Values).find_map(values_of).or_else(|| meta(Meta::Strings).find_map(strings_of));
    if let (Some(values), true) = (own_texts, data_type.is_integer()) {
        let name = seen.path.last().cloned().unwrap_or_default();
        texts = Some(Texts { name, values });
    }
    let is_number = data_type.is_number() && texts.is_none();
    let data_type = if texts.is_some() { BuiltIn::Int32 } else { data_type };
    Some(Found {
        path: seen.path.clone(),
        address: walk.address(&seen.node)?,
        data_type: name_of(data_type)?,
        dimensions,
        unit: meta(Meta::Unit).find_map(unit_of).filter(|_| is_number).unwrap_or_default(),
        description: own.description.clone(),
        range: meta(Meta::Range).find_map(range_of).filter(|_| is_number),
        texts,
        may_write: own.may_write,
    })
}

/// The type of a value, where a tag can have it.
fn kind_of(value: &Value) -> Option<BuiltIn> {
    match value {
        Value::Array(array) => Some(array.elements.built_in()),
        value => value.built_in(),
    }
}

fn sizes_of(value: &Value) -> Option<Vec<u32>> {
    match value {
        Value::Null | Value::Wire(_) => None,
        Value::Array(array) if array.dimensions.is_empty() => {
            u32::try_from(array.elements.len()).ok().filter(|size| *size > 0).map(|size| vec![size])
        }
        Value::Array(array) => Some(array.dimensions.clone()),
        _ => Some(Vec::new()),
    }
}

/// The name of a type that a tag may have.
fn name_of(kind: BuiltIn) -> Option<String> {
    let is_known = kind.is_number()
        || matches!(kind, BuiltIn::Boolean | BuiltIn::String | BuiltIn::DateTime | BuiltIn::ByteString);
    is_known.then(|| format!("{kind:?}"))
}

/// A type of the standard that tags or enumerations are of; `None` for one whose supertype says it.
fn known(id: u32) -> Option<Type> {
    match id {
        ENUMERATION => Some(Type::Enumeration(None)),
        id if BASE.contains(&id) => Some(Type::ByValue),
        1..=25 => {
            let kind = u8::try_from(id).ok().and_then(BuiltIn::from_byte);
            Some(kind.filter(|kind| name_of(*kind).is_some()).map_or(Type::Other, Type::Plain))
        }
        _ => None,
    }
}

fn known_of(node: &[u8]) -> Option<Type> {
    known(Reader::new(node).node_id().ok()?.standard()?)
}

/// All DataTypes of the variables, by their nodes: through their supertypes to one of the standard.
async fn types(walk: &mut Walk<'_>, attributes: &[Attributes]) -> Result<HashMap<Vec<u8>, Type>, ProbeError> {
    let mut types: HashMap<Vec<u8>, Type> = HashMap::new();
    // Each type with the supertype to which it was followed.
    let mut open: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for node in attributes.iter().filter_map(|one| one.data_type.as_ref()) {
        if types.contains_key(node) {
            continue;
        }
        let kind = known_of(node);
        if kind.is_none() {
            open.push((node.clone(), node.clone()));
        }
        types.insert(node.clone(), kind.unwrap_or(Type::Other));
    }
    let mut enumerations = Vec::new();
    for _ in 0..MOST_STEPS {
        let wanted = Wanted { is_inverse: true, reference: HAS_SUBTYPE, classes: DATA_TYPES };
        let nodes: Vec<&[u8]> = open.iter().map(|(_, above)| &**above).collect();
        let above = walk.references(wanted, &nodes, nodes.len() * 2).await?;
        let mut next = Vec::new();
        for ((of, _), references) in open.into_iter().zip(above) {
            let Some(supertype) = references.all.into_iter().next() else { continue };
            match known_of(&supertype.node) {
                Some(kind) => {
                    if matches!(kind, Type::Enumeration(_)) {
                        enumerations.push(of.clone());
                    }
                    types.insert(of, kind);
                }
                None => next.push((of, supertype.node)),
            }
        }
        open = next;
        if open.is_empty() {
            break;
        }
    }
    texts(walk, &enumerations, &mut types).await?;
    Ok(types)
}

/// The texts of enumerations, which are properties of their DataTypes.
async fn texts(
    walk: &mut Walk<'_>,
    enumerations: &[Vec<u8>],
    types: &mut HashMap<Vec<u8>, Type>,
) -> Result<(), ProbeError> {
    let wanted = Wanted { is_inverse: false, reference: HAS_PROPERTY, classes: VARIABLE };
    let nodes: Vec<&[u8]> = enumerations.iter().map(|node| &**node).collect();
    let properties = walk.references(wanted, &nodes, nodes.len() * 10).await?;
    let names = walk.values(nodes.iter().map(|node| Attribute { node, id: BROWSE_NAME }).collect()).await?;
    for ((node, references), name) in enumerations.iter().zip(properties).zip(names) {
        let known =
            |reference: &super::browse::Reference| matches!(Meta::of(reference), Some(Meta::Strings | Meta::Values));
        let Some(property) = references.all.into_iter().find(known) else { continue };
        let read = walk.values(vec![Attribute { node: &property.node, id: VALUE }]).await?;
        let value = read.into_iter().next().and_then(|read| read.value).unwrap_or_default();
        let Some(values) = values_of(&value).or_else(|| strings_of(&value)) else { continue };
        let name = name.value.as_ref().and_then(text_of).unwrap_or_default();
        types.insert(node.clone(), Type::Enumeration(Some(Texts { name, values })));
    }
    Ok(())
}
