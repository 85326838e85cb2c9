//! Writes straight into the buffer that goes to the socket; a mark lets a response be taken back.

use opcua::{Identifier, NodeId, StatusCode};

use super::{IdRef, LocalizedTextRef, NodeIdRef, QualifiedNameRef};
use crate::value::{BuiltIn, UaTime};

#[derive(Debug, Default)]
pub struct Writer {
    pub buf: Vec<u8>,
}

impl Writer {
    pub fn new() -> Writer {
        Writer::default()
    }

    /// Bytes written so far; `rewind` takes back all that came after.
    pub fn mark(&self) -> usize {
        self.buf.len()
    }

    pub fn rewind(&mut self, mark: usize) {
        self.buf.truncate(mark);
    }

    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    #[inline]
    /// Begins a Variant with one value of this type.
    pub fn variant_head(&mut self, kind: BuiltIn) {
        self.u8(kind as u8);
    }

    /// Begins a Variant with an array of this type: its count and its elements follow.
    pub fn variant_array_head(&mut self, kind: BuiltIn) {
        self.u8(kind as u8 | 0x80);
    }

    pub fn u8(&mut self, v: u8) {
        self.buf.push(v);
    }

    pub fn bool(&mut self, v: bool) {
        self.buf.push(u8::from(v));
    }

    #[inline]
    pub fn u16(&mut self, v: u16) {
        self.raw(&v.to_le_bytes());
    }

    #[inline]
    pub fn u32(&mut self, v: u32) {
        self.raw(&v.to_le_bytes());
    }

    #[inline]
    pub fn i32(&mut self, v: i32) {
        self.raw(&v.to_le_bytes());
    }

    #[inline]
    pub fn u64(&mut self, v: u64) {
        self.raw(&v.to_le_bytes());
    }

    #[inline]
    pub fn i64(&mut self, v: i64) {
        self.raw(&v.to_le_bytes());
    }

    pub fn f32(&mut self, v: f32) {
        self.raw(&v.to_le_bytes());
    }

    #[inline]
    pub fn f64(&mut self, v: f64) {
        self.raw(&v.to_le_bytes());
    }

    #[inline]
    pub fn time(&mut self, v: UaTime) {
        self.i64(v.0);
    }

    #[inline]
    pub fn status(&mut self, v: StatusCode) {
        self.u32(v.bits());
    }

    /// The length of an array or text. Nothing of ours is longer than `i32::MAX`; a client's limits come first.
    #[inline]
    pub fn count(&mut self, count: usize) {
        self.i32(i32::try_from(count).unwrap_or(i32::MAX));
    }

    /// Reserves a count that is known only after its elements are written; `set_count` fills it in.
    pub fn reserve_count(&mut self) -> usize {
        let at = self.mark();
        self.i32(0);
        at
    }

    pub fn set_count(&mut self, at: usize, count: usize) {
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        self.buf[at..at + 4].copy_from_slice(&count.to_le_bytes());
    }

    pub fn set_u32(&mut self, at: usize, value: u32) {
        self.buf[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    pub fn bytes(&mut self, v: Option<&[u8]>) {
        match v {
            None => self.i32(-1),
            Some(bytes) => {
                self.count(bytes.len());
                self.raw(bytes);
            }
        }
    }

    pub fn string(&mut self, v: Option<&str>) {
        self.bytes(v.map(str::as_bytes));
    }

    pub fn text(&mut self, v: &str) {
        self.bytes(Some(v.as_bytes()));
    }

    /// An array that is null.
    pub fn null_array(&mut self) {
        self.i32(-1);
    }

    /// A NodeId in its shortest encoding (Part 6 §5.2.2.9, 1.05).
    pub fn node_id(&mut self, v: NodeIdRef<'_>) {
        match v.id {
            IdRef::Numeric(id) => self.numeric_node_id(v.namespace, id),
            IdRef::String(text) => {
                self.u8(3);
                self.u16(v.namespace);
                self.text(text);
            }
            IdRef::Guid(guid) => {
                self.u8(4);
                self.u16(v.namespace);
                self.raw(&guid);
            }
            IdRef::Opaque(bytes) => {
                self.u8(5);
                self.u16(v.namespace);
                self.bytes(Some(bytes));
            }
        }
    }

    fn numeric_node_id(&mut self, namespace: u16, id: u32) {
        match (u8::try_from(namespace), u8::try_from(id), u16::try_from(id)) {
            (Ok(0), Ok(id), _) => {
                self.u8(0);
                self.u8(id);
            }
            (Ok(namespace), _, Ok(id)) => {
                self.u8(1);
                self.u8(namespace);
                self.u16(id);
            }
            _ => {
                self.u8(2);
                self.u16(namespace);
                self.u32(id);
            }
        }
    }

    /// An ExpandedNodeId of this server: index, never a URI (clients ignore the URI and take index 0).
    pub fn expanded_node_id(&mut self, v: NodeIdRef<'_>) {
        self.node_id(v);
    }

    /// An owned NodeId of the vocabulary.
    pub fn owned_node_id(&mut self, v: &NodeId) {
        let id = match &v.identifier {
            Identifier::Numeric(id) => IdRef::Numeric(*id),
            Identifier::String(text) => IdRef::String(text.as_ref()),
            Identifier::Guid(guid) => {
                let mut wire = guid.to_bytes();
                wire[..4].reverse();
                wire[4..6].reverse();
                wire[6..8].reverse();
                IdRef::Guid(wire)
            }
            Identifier::ByteString(bytes) => IdRef::Opaque(bytes.as_ref()),
        };
        self.node_id(NodeIdRef { namespace: v.namespace, id });
    }

    pub fn qualified_name(&mut self, v: QualifiedNameRef<'_>) {
        self.u16(v.namespace);
        self.string(v.name);
    }

    pub fn localized_text(&mut self, v: LocalizedTextRef<'_>) {
        self.u8(u8::from(v.locale.is_some()) | u8::from(v.text.is_some()) << 1);
        if v.locale.is_some() {
            self.string(v.locale);
        }
        if v.text.is_some() {
            self.string(v.text);
        }
    }

    /// An ExtensionObject with a binary body that `body` writes.
    pub fn extension_object(&mut self, encoding_id: u32, body: impl FnOnce(&mut Writer)) {
        self.node_id(NodeIdRef::numeric(0, encoding_id));
        self.u8(1);
        let length = self.reserve_count();
        let start = self.mark();
        body(self);
        let written = self.mark() - start;
        self.set_count(length, written);
    }

    /// No ExtensionObject at all.
    pub fn null_extension_object(&mut self) {
        self.node_id(NodeIdRef::NULL);
        self.u8(0);
    }
}
