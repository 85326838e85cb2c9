//! JSON Pointers (RFC 6901), and the walk over a message that finds them all at once.

use std::collections::HashMap;
use std::fmt;

use serde::de::{
    Deserialize as _, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

/// A checked JSON Pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer {
    pub text: String,
    tokens: Vec<String>,
}

/// The fault of a text that is no JSON Pointer: the message, and what to write.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoPointer {
    pub message: String,
    pub help: String,
}

impl Pointer {
    /// The whole message is the empty text.
    pub(super) fn parse(text: &str) -> Result<Pointer, NoPointer> {
        if let Some(path) = text.strip_prefix('$') {
            let parts = path.split(['.', '[', ']', '\'', '"']).filter(|part| !part.is_empty());
            let pointer: String = parts.flat_map(|part| ["/", part]).collect();
            let message = format!("`{text}` is JSONPath; `json` takes a JSON Pointer");
            return Err(NoPointer { message, help: format!("write `{pointer}`") });
        }
        if !text.is_empty() && !text.starts_with('/') {
            let message = format!("`{text}` is no JSON Pointer: it begins with `/`");
            return Err(NoPointer { message, help: format!("write `/{}`", text.replace('.', "/")) });
        }
        let is_escaped = |rest: &str| rest.starts_with(['0', '1']);
        if text.split('~').skip(1).any(|rest| !is_escaped(rest)) {
            let message = format!("`{text}` has a `~` of no meaning");
            return Err(NoPointer { message, help: "write `~0` for `~`, and `~1` for `/` in a name".to_owned() });
        }
        let token = |part: &str| part.replace("~1", "/").replace("~0", "~");
        Ok(Pointer { text: text.to_owned(), tokens: text.split('/').skip(1).map(token).collect() })
    }
}

/// The pointers of several tags as one tree; each pointer has a slot.
#[derive(Debug)]
pub(super) struct Tree {
    /// The first is the root.
    nodes: Vec<Node>,
    slots: usize,
}

/// One value that lies on the way to a member, or is one.
#[derive(Debug, Default)]
struct Node {
    slot: Option<usize>,
    /// The nodes below by name, and by place for a list.
    names: HashMap<Box<str>, usize>,
    items: HashMap<usize, usize>,
}

/// The members that were found, by slot.
pub(super) type Members<'m> = Vec<Option<&'m RawValue>>;

impl Default for Tree {
    fn default() -> Tree {
        Tree { nodes: vec![Node::default()], slots: 0 }
    }
}

impl Tree {
    /// The slot of a pointer.
    pub(super) fn slot(&mut self, pointer: &Pointer) -> usize {
        let mut at = 0;
        for token in &pointer.tokens {
            at = self.below(at, token);
        }
        let next = self.slots;
        let slot = *self.nodes[at].slot.get_or_insert(next);
        self.slots = self.slots.max(slot + 1);
        slot
    }

    fn below(&mut self, at: usize, token: &str) -> usize {
        if let Some(known) = self.nodes[at].names.get(token) {
            return *known;
        }
        let new = self.nodes.len();
        self.nodes.push(Node::default());
        self.nodes[at].names.insert(token.into(), new);
        // A place has no leading zeros.
        if let Some(place) = token.parse().ok().filter(|place: &usize| place.to_string() == token) {
            self.nodes[at].items.insert(place, new);
        }
        new
    }

    /// Finds all members in one walk; `None` for a message that is no JSON, or that has a member twice.
    pub(super) fn find<'m>(&self, message: &'m str) -> Option<Members<'m>> {
        let (mut found, mut entered) = (vec![None; self.slots], vec![false; self.nodes.len()]);
        let mut json = serde_json::Deserializer::from_str(message);
        Walk { nodes: &self.nodes, at: 0, found: &mut found, entered: &mut entered }.deserialize(&mut json).ok()?;
        json.end().ok()?;
        Some(found)
    }
}

/// The names of the members of a message that is an object, as pointers; at most eight.
pub(super) fn names(message: &str) -> Vec<String> {
    const MOST: usize = 8;
    let members: Option<HashMap<String, IgnoredAny>> = serde_json::from_str(message).ok();
    let pointer = |name: String| format!("/{}", super::fault::start_of(&name.replace('~', "~0").replace('/', "~1")));
    let mut names: Vec<String> = members.into_iter().flatten().map(|(name, _)| pointer(name)).collect();
    names.sort_unstable();
    names.truncate(MOST);
    names
}

/// The walk over the value at one node.
struct Walk<'t, 'f, 'm> {
    nodes: &'t [Node],
    at: usize,
    found: &'f mut Members<'m>,
    /// By node: the same path a second time is a member that is there twice.
    entered: &'f mut [bool],
}

impl<'t, 'm> Walk<'t, '_, 'm> {
    fn node(&self) -> &'t Node {
        &self.nodes[self.at]
    }

    fn to(&mut self, at: usize) -> Walk<'t, '_, 'm> {
        Walk { nodes: self.nodes, at, found: self.found, entered: self.entered }
    }
}

impl<'m> DeserializeSeed<'m> for Walk<'_, '_, 'm> {
    type Value = ();

    fn deserialize<D: Deserializer<'m>>(self, json: D) -> Result<(), D::Error> {
        if std::mem::replace(&mut self.entered[self.at], true) {
            return Err(D::Error::custom("a member is there twice"));
        }
        let node = self.node();
        let Some(slot) = node.slot else { return json.deserialize_any(self) };
        let value = <&RawValue>::deserialize(json)?;
        self.found[slot] = Some(value);
        if node.names.is_empty() {
            return Ok(());
        }
        serde_json::Deserializer::from_str(value.get()).deserialize_any(self).map_err(D::Error::custom)
    }
}

impl<'m> Visitor<'m> for Walk<'_, '_, 'm> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'m>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(below) = map.next_key_seed(Name(self.node()))? {
            match below {
                Some(at) => map.next_value_seed(self.to(at))?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'m>>(mut self, mut list: A) -> Result<(), A::Error> {
        for place in 0.. {
            let more = match self.node().items.get(&place) {
                Some(at) => list.next_element_seed(self.to(*at))?.is_some(),
                None => list.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    // A single value has no members.
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// The node below that the next name of an object leads to.
struct Name<'t>(&'t Node);

impl<'m> DeserializeSeed<'m> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'m>>(self, json: D) -> Result<Option<usize>, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.names.get(name).copied())
    }
}
