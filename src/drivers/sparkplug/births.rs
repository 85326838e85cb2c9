//! Metrics of births as a cell file would read them. Pure.

use super::address::{Address, NodeId, Shown};
use super::part::{MOST_DEPTH, lasts, named};
use super::proto::{Metric, Payload, Properties};
use super::value::{data_type_of, value_of};
use crate::drivers::listing::{Found, Listing, Start};
use crate::drivers::reading::PointError;
use crate::value::Value;

/// Metrics that mean something to the protocol alone.
const OF_PROTOCOL: [&str; 2] = ["bdSeq", "Node Control/Rebirth"];
const FORMS: &str = "write GROUP, GROUP/NODE or GROUP/NODE/DEVICE";

/// The part of a plant of which births are listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Scope {
    pub group: Option<String>,
    pub node: Option<String>,
    pub device: Option<String>,
}

impl Scope {
    /// `GROUP`, `GROUP/NODE` or `GROUP/NODE/DEVICE`.
    pub(super) fn parse(text: &str) -> Result<Scope, PointError> {
        let all = 0..text.len();
        if let Some(at) = text.find(':') {
            let message = "a listing begins at a group, an edge node or a device, not at a metric".to_owned();
            return Err(PointError::new(at..text.len(), message, FORMS));
        }
        if text.starts_with("spBv1.0/") {
            return Err(PointError::new(all, format!("`{text}` is a topic"), FORMS));
        }
        let mut start = 0;
        for id in text.split('/') {
            let at = start..start + id.len();
            if id.is_empty() {
                return Err(PointError::new(at, "an id is empty".to_owned(), FORMS));
            }
            if let Some(wrong) = id.find(['+', '#']) {
                let place = at.start + wrong..at.start + wrong + 1;
                return Err(PointError::new(place, "an id holds no `+` and no `#`".to_owned(), FORMS));
            }
            start += id.len() + 1;
        }
        let ids: Vec<String> = text.split('/').map(str::to_owned).collect();
        match &ids[..] {
            [group] => Ok(Scope { group: Some(group.clone()), ..Scope::default() }),
            [group, node] => Ok(Scope { group: Some(group.clone()), node: Some(node.clone()), device: None }),
            [group, node, device] => {
                Ok(Scope { group: Some(group.clone()), node: Some(node.clone()), device: Some(device.clone()) })
            }
            _ => Err(PointError::new(all, format!("`{text}` is no group, edge node and device"), FORMS)),
        }
    }

    pub(super) fn of(start: &Start) -> Result<Scope, PointError> {
        start.from.as_deref().map_or(Ok(Scope::default()), Scope::parse)
    }

    /// The edge node, where it is one alone.
    pub(super) fn node_id(&self) -> Option<NodeId> {
        Some(NodeId { group: self.group.clone()?, node: self.node.clone()? })
    }

    /// Whether an edge node, or a device of it, is in it.
    pub(super) fn has(&self, id: &NodeId, device: Option<&str>) -> bool {
        self.has_node(id) && self.device.as_deref().is_none_or(|own| Some(own) == device)
    }

    pub(super) fn has_node(&self, NodeId { group, node }: &NodeId) -> bool {
        self.group.as_ref().is_none_or(|own| own == group) && self.node.as_ref().is_none_or(|own| own == node)
    }

    /// Names above the metrics of a part, from where the listing begins.
    fn above(&self, id: &NodeId, device: Option<&str>) -> Vec<String> {
        let mut names = Vec::new();
        if self.group.is_none() {
            names.push(id.group.clone());
        }
        if self.node.is_none() {
            names.push(id.node.clone());
        }
        if self.device.is_none() {
            names.extend(device.map(str::to_owned));
        }
        names
    }
}

/// A birth of an edge node itself, or of a device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Birth<'a> {
    pub id: &'a NodeId,
    pub device: Option<&'a str>,
    pub payload: &'a Payload<'a>,
}

impl Birth<'_> {
    /// The beginning of the addresses of its metrics.
    fn place(&self) -> String {
        let NodeId { group, node } = self.id;
        self.device.map_or_else(|| format!("{group}/{node}:"), |device| format!("{group}/{node}/{device}:"))
    }

    /// Whether an address leads to a metric of this birth: an id with a `:` would lead elsewhere.
    fn is_at(&self, address: &str, name: &str) -> bool {
        let parsed = Address::parse(address);
        parsed.is_ok_and(|parsed| {
            parsed.node == *self.id
                && parsed.device.as_deref() == self.device
                && matches!(parsed.shown, Shown::Metric(metric) if metric == name)
        })
    }

    /// Adds its metrics to a listing.
    pub(super) fn list(&self, scope: &Scope, start: &Start, listing: &mut Listing) {
        let mut all = Vec::new();
        named(&self.payload.metrics, "", MOST_DEPTH, &mut all);
        let place = self.place();
        let above = scope.above(self.id, self.device);
        for one in lasts(&all) {
            let name = &*one.name;
            if OF_PROTOCOL.contains(&name) || one.metric.is_historical || name.is_empty() || name.starts_with('@') {
                continue;
            }
            let address = format!("{place}{name}");
            match found(&one.metric).filter(|_| self.is_at(&address, name)) {
                Some(found) => {
                    let names = name.split(['/', '.']).map(str::to_owned);
                    let path = above.iter().cloned().chain(names).collect();
                    listing.add(start, Found { path, address, ..found });
                }
                None => listing.untyped += 1,
            }
        }
        if !listing.covers.contains(&place) {
            listing.covers.push(place);
        }
    }
}

/// A metric without its names; `None` where no tag has its type, or its length is not known.
fn found(metric: &Metric<'_>) -> Option<Found> {
    let datatype = metric.datatype?;
    let data_type = data_type_of(datatype)?;
    let dimensions = match data_type.is_array {
        false => Vec::new(),
        true => match value_of(datatype, metric.content.filter(|_| !metric.is_null)?).ok()? {
            Value::Array(array) => vec![u32::try_from(array.elements.len()).ok().filter(|count| *count > 0)?],
            _ => return None,
        },
    };
    let properties = Properties::read(metric.properties);
    let is_number = data_type.kind.is_number();
    Some(Found {
        data_type: format!("{:?}", data_type.kind),
        dimensions,
        unit: if is_number { properties.unit.to_owned() } else { String::new() },
        description: properties.documentation.to_owned(),
        range: properties.low.zip(properties.high).filter(|_| is_number),
        may_write: !properties.is_read_only,
        ..Found::default()
    })
}

#[cfg(test)]
mod tests {
    use super::super::proto::Content;
    use super::*;

    fn metric(name: &'static str, datatype: u32, content: Option<Content<'static>>) -> Metric<'static> {
        Metric { name: Some(name), datatype: Some(datatype), content, ..Metric::default() }
    }

    #[test]
    fn a_birth_is_listed_by_its_ids_and_the_parts_of_its_names() {
        let id = NodeId { group: "g".into(), node: "n".into() };
        let payload = Payload {
            metrics: vec![
                metric("bdSeq", 4, Some(Content::Long(1))),
                metric("a/b.c", 10, Some(Content::Double(1.0))),
                metric("heads", 24, Some(Content::Bytes(&[1, 0, 0, 0, 2, 0, 0, 0]))),
                metric("unknown", 24, None),
                metric("table", 16, Some(Content::Other)),
            ],
            ..Payload::default()
        };
        for (from, device, wanted) in [
            (None, None, vec!["g.n.a.b.c=g/n:a/b.c", "g.n.heads=g/n:heads"]),
            (Some("g"), Some("d"), vec!["n.d.a.b.c=g/n/d:a/b.c", "n.d.heads=g/n/d:heads"]),
            (Some("g/n"), None, vec!["a.b.c=g/n:a/b.c", "heads=g/n:heads"]),
            (Some("g/n/d"), Some("d"), vec!["a.b.c=g/n/d:a/b.c", "heads=g/n/d:heads"]),
        ] {
            let start = Start { from: from.map(str::to_owned), depth: 10, most: 10 };
            let scope = Scope::of(&start).expect("a scope");
            assert!(scope.has(&id, device));
            let mut listing = Listing::default();
            Birth { id: &id, device, payload: &payload }.list(&scope, &start, &mut listing);
            let all: Vec<String> =
                listing.found.iter().map(|found| format!("{}={}", found.path.join("."), found.address)).collect();
            assert_eq!((all, listing.untyped), (wanted.iter().map(|one| (*one).to_owned()).collect(), 2), "{from:?}");
        }
    }

    #[test]
    fn a_listing_begins_at_ids() {
        for (text, wrong) in
            [("", ""), ("a//b", ""), ("a/+", "+"), ("a/b:c", ":c"), ("a/b/c/d", "a/b/c/d"), ("spBv1.0/a", "spBv1.0/a")]
        {
            let error = Scope::parse(text).expect_err(text);
            assert_eq!(&text[error.at], wrong, "{text}");
        }
    }
}
