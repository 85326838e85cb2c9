//! Reads one message, or one body of it, front to back; what it hands out borrows from the bytes.

use opcua::StatusCode;

use super::{ExpandedNodeIdRef, IdRef, LocalizedTextRef, NodeIdRef, QualifiedNameRef};
use crate::value::UaTime;

/// The status of a refused read is what the peer is told: `BadDecodingError`, or `BadEncodingLimitsExceeded`.
pub(crate) type Decode<T> = Result<T, StatusCode>;

#[derive(Debug, Clone)]
pub struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    pub(super) depth: u8,
    /// Bytes that this message may still make us own.
    budget: usize,
    /// Texts that are not UTF-8 count as empty, and are noted.
    forgives: bool,
    is_broken: bool,
}

/// An ExtensionObject, its body unread (Part 6 §5.2.2.15, 1.05).
#[derive(Debug, Clone, Copy)]
pub struct ExtensionRef<'a> {
    /// The NodeId of the body's encoding; null for no object at all.
    pub type_id: NodeIdRef<'a>,
    /// The body when it is binary; `None` for no body or an XML one.
    pub body: Option<&'a [u8]>,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        let budget = bytes.len().saturating_mul(8).saturating_add(64 * 1024);
        Reader { bytes, at: 0, depth: 0, budget, forgives: false, is_broken: false }
    }

    /// A reader of a part of this message (an ExtensionObject's body), with the same depth and budget left.
    pub fn nested(&self, bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0, depth: self.depth, budget: self.budget, forgives: self.forgives, is_broken: false }
    }

    /// Reads on after a text that is not UTF-8, as some devices send it: it is empty, and `take_broken` reports it once.
    pub(crate) fn forgive_texts(&mut self) {
        self.forgives = true;
    }

    /// Whether a text since the last call was not UTF-8.
    pub(crate) fn take_broken(&mut self) -> bool {
        std::mem::take(&mut self.is_broken)
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.at
    }

    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub fn is_at_end(&self) -> bool {
        self.remaining() == 0
    }

    /// The bytes from `start` to here.
    pub fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.at]
    }

    /// Owns `bytes` more on behalf of this message, or refuses.
    pub fn charge(&mut self, bytes: usize) -> Decode<()> {
        self.budget = self.budget.checked_sub(bytes).ok_or(StatusCode::BadEncodingLimitsExceeded)?;
        Ok(())
    }

    /// Goes on with the budget that a reader of a part has left.
    pub(super) fn take_budget(&mut self, nested: &Reader<'_>) {
        self.budget = nested.budget;
    }

    /// Goes one level deeper for as long as `read` runs.
    pub(super) fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Decode<T>) -> Decode<T> {
        if self.depth >= super::MAX_DEPTH {
            return Err(StatusCode::BadEncodingLimitsExceeded);
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    #[inline]
    pub fn take(&mut self, count: usize) -> Decode<&'a [u8]> {
        let end =
            self.at.checked_add(count).filter(|end| *end <= self.bytes.len()).ok_or(StatusCode::BadDecodingError)?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Decode<[u8; N]> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("`take` gave as many bytes as it was asked for"))
    }

    pub fn u8(&mut self) -> Decode<u8> {
        Ok(self.fixed::<1>()?[0])
    }

    /// Anything but 0 is true (Part 6 §5.2.2.1, 1.05).
    pub fn bool(&mut self) -> Decode<bool> {
        Ok(self.u8()? != 0)
    }

    pub fn u16(&mut self) -> Decode<u16> {
        Ok(u16::from_le_bytes(self.fixed()?))
    }

    pub fn i8(&mut self) -> Decode<i8> {
        Ok(self.u8()?.cast_signed())
    }

    pub fn i16(&mut self) -> Decode<i16> {
        Ok(self.u16()?.cast_signed())
    }

    pub fn u32(&mut self) -> Decode<u32> {
        Ok(u32::from_le_bytes(self.fixed()?))
    }

    pub fn i32(&mut self) -> Decode<i32> {
        Ok(i32::from_le_bytes(self.fixed()?))
    }

    pub fn u64(&mut self) -> Decode<u64> {
        Ok(u64::from_le_bytes(self.fixed()?))
    }

    pub fn i64(&mut self) -> Decode<i64> {
        Ok(i64::from_le_bytes(self.fixed()?))
    }

    pub fn f64(&mut self) -> Decode<f64> {
        Ok(f64::from_le_bytes(self.fixed()?))
    }

    pub fn f32(&mut self) -> Decode<f32> {
        Ok(f32::from_le_bytes(self.fixed()?))
    }

    pub fn guid(&mut self) -> Decode<[u8; 16]> {
        self.fixed()
    }

    pub fn time(&mut self) -> Decode<UaTime> {
        Ok(UaTime(self.i64()?))
    }

    pub fn status(&mut self) -> Decode<StatusCode> {
        Ok(StatusCode::from(self.u32()?))
    }

    /// A ByteString; `None` is the null one.
    pub fn bytes(&mut self) -> Decode<Option<&'a [u8]>> {
        match self.i32()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| StatusCode::BadDecodingError)?;
                self.take(length).map(Some)
            }
        }
    }

    /// A String; `None` is the null one. Bytes that are not UTF-8 are refused.
    pub fn string(&mut self) -> Decode<Option<&'a str>> {
        match self.bytes()? {
            None => Ok(None),
            Some(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Some(text)),
                Err(_) if self.forgives => {
                    self.is_broken = true;
                    Ok(Some(""))
                }
                Err(_) => Err(StatusCode::BadDecodingError),
            },
        }
    }

    /// A String whose null and empty forms mean the same.
    pub fn text(&mut self) -> Decode<&'a str> {
        Ok(self.string()?.unwrap_or_default())
    }

    /// The length of an array whose elements take at least `least` bytes each; null counts as empty.
    /// A length that the rest of the message cannot hold is refused here, before anything is looped over.
    pub fn count(&mut self, least: usize) -> Decode<usize> {
        match self.i32()? {
            -1 => Ok(0),
            count => {
                let count = usize::try_from(count).map_err(|_| StatusCode::BadDecodingError)?;
                if count > self.remaining() / least.max(1) {
                    return Err(StatusCode::BadDecodingError);
                }
                Ok(count)
            }
        }
    }

    pub fn node_id(&mut self) -> Decode<NodeIdRef<'a>> {
        let encoding = self.u8()?;
        self.node_id_of(encoding)
    }

    fn node_id_of(&mut self, encoding: u8) -> Decode<NodeIdRef<'a>> {
        Ok(match encoding {
            0 => NodeIdRef::numeric(0, u32::from(self.u8()?)),
            1 => {
                let namespace = u16::from(self.u8()?);
                NodeIdRef::numeric(namespace, u32::from(self.u16()?))
            }
            2 => {
                let namespace = self.u16()?;
                NodeIdRef::numeric(namespace, self.u32()?)
            }
            3 => NodeIdRef { namespace: self.u16()?, id: IdRef::String(self.text()?) },
            4 => NodeIdRef { namespace: self.u16()?, id: IdRef::Guid(self.guid()?) },
            5 => NodeIdRef { namespace: self.u16()?, id: IdRef::Opaque(self.bytes()?.unwrap_or_default()) },
            _ => return Err(StatusCode::BadDecodingError),
        })
    }

    /// Flags 0x80 (NamespaceUri) and 0x40 (ServerIndex) of Part 6 §5.2.2.10 (1.05).
    pub fn expanded_node_id(&mut self) -> Decode<ExpandedNodeIdRef<'a>> {
        let encoding = self.u8()?;
        let node_id = self.node_id_of(encoding & 0x3f)?;
        let namespace_uri = if encoding & 0x80 != 0 { self.string()? } else { None };
        let server_index = if encoding & 0x40 != 0 { self.u32()? } else { 0 };
        Ok(ExpandedNodeIdRef { node_id, namespace_uri, server_index })
    }

    pub fn qualified_name(&mut self) -> Decode<QualifiedNameRef<'a>> {
        Ok(QualifiedNameRef { namespace: self.u16()?, name: self.string()? })
    }

    pub fn localized_text(&mut self) -> Decode<LocalizedTextRef<'a>> {
        let mask = self.u8()?;
        if mask & !3 != 0 {
            return Err(StatusCode::BadDecodingError);
        }
        let locale = if mask & 1 != 0 { self.string()? } else { None };
        let text = if mask & 2 != 0 { self.string()? } else { None };
        Ok(LocalizedTextRef { locale, text })
    }

    /// An ExtensionObject; its body is stepped over by its length and left to who knows the type.
    pub fn extension_object(&mut self) -> Decode<ExtensionRef<'a>> {
        let type_id = self.node_id()?;
        let body = match self.u8()? {
            0 => None,
            1 => self.bytes()?,
            2 => {
                self.bytes()?;
                None
            }
            _ => return Err(StatusCode::BadDecodingError),
        };
        Ok(ExtensionRef { type_id, body })
    }
}
