//! Steps over values without keeping them, as strictly as they would be read.

use opcua::StatusCode;

use super::reader::{Decode, Reader};
use crate::value::BuiltIn;

/// Bits of the Variant's encoding byte (Part 6 §5.2.2.16, 1.05).
pub(super) const ARRAY: u8 = 0x80;
pub(super) const DIMENSIONS: u8 = 0x40;

impl Reader<'_> {
    /// `in_data_value`: a Variant inside a DataValue holds no DataValue, at any depth (Part 6 §5.1.9, 1.05).
    pub(super) fn skip_variant(&mut self, in_data_value: bool) -> Decode<()> {
        let encoding = self.u8()?;
        self.skip_variant_of(encoding, in_data_value)
    }

    pub(super) fn skip_variant_of(&mut self, encoding: u8, in_data_value: bool) -> Decode<()> {
        if encoding == 0 {
            return Ok(());
        }
        let kind = variant_type(encoding, in_data_value)?;
        if encoding & ARRAY == 0 {
            return self.deeper(|reader| reader.skip_element(kind, in_data_value));
        }
        let count = self.count(least_size(kind))?;
        match kind.fixed_size() {
            Some(size) => {
                self.take(count * size)?;
            }
            None => self.deeper(|reader| (0..count).try_for_each(|_| reader.skip_element(kind, in_data_value)))?,
        }
        if encoding & DIMENSIONS != 0 {
            self.skip_dimensions(count)?;
        }
        Ok(())
    }

    /// The dimensions must multiply to the number of elements.
    fn skip_dimensions(&mut self, elements: usize) -> Decode<()> {
        let count = self.count(4)?;
        let mut product = 1usize;
        for _ in 0..count {
            let size = usize::try_from(self.i32()?).map_err(|_| StatusCode::BadDecodingError)?;
            product = product.saturating_mul(size);
        }
        let is_consistent = if count == 0 { elements == 0 } else { product == elements };
        if !is_consistent {
            return Err(StatusCode::BadDecodingError);
        }
        Ok(())
    }

    pub(super) fn skip_element(&mut self, kind: BuiltIn, in_data_value: bool) -> Decode<()> {
        if let Some(size) = kind.fixed_size() {
            return self.take(size).map(drop);
        }
        match kind {
            BuiltIn::String | BuiltIn::XmlElement => self.string().map(drop),
            BuiltIn::ByteString => self.bytes().map(drop),
            BuiltIn::NodeId => self.node_id().map(drop),
            BuiltIn::ExpandedNodeId => self.expanded_node_id().map(drop),
            BuiltIn::QualifiedName => self.qualified_name().map(drop),
            BuiltIn::LocalizedText => self.localized_text().map(drop),
            BuiltIn::ExtensionObject => self.extension_object().map(drop),
            BuiltIn::DataValue => self.skip_data_value(),
            BuiltIn::Variant => self.skip_variant(in_data_value),
            _ => Err(StatusCode::BadDecodingError),
        }
    }

    pub(super) fn skip_data_value(&mut self) -> Decode<()> {
        let mask = self.u8()?;
        if mask & 0xc0 != 0 {
            return Err(StatusCode::BadDecodingError);
        }
        if mask & 0x01 != 0 {
            self.deeper(|reader| reader.skip_variant(true))?;
        }
        for (bit, size) in [(0x02, 4), (0x04, 8), (0x10, 2), (0x08, 8), (0x20, 2)] {
            if mask & bit != 0 {
                self.take(size)?;
            }
        }
        Ok(())
    }

    /// DiagnosticInfo of a response; at most 10 levels deep.
    pub fn skip_diagnostic_info(&mut self) -> Decode<()> {
        for _ in 0..super::MAX_DIAGNOSTIC_DEPTH {
            let mask = self.u8()?;
            if mask & 0x80 != 0 {
                return Err(StatusCode::BadDecodingError);
            }
            for bit in [0x01, 0x02, 0x04, 0x08] {
                if mask & bit != 0 {
                    self.i32()?;
                }
            }
            if mask & 0x10 != 0 {
                self.string()?;
            }
            if mask & 0x20 != 0 {
                self.status()?;
            }
            if mask & 0x40 == 0 {
                return Ok(());
            }
        }
        Err(StatusCode::BadEncodingLimitsExceeded)
    }
}

/// The type that a Variant's encoding byte names, where Part 6 §5.1.9 (1.05) lets it stand there.
pub(super) fn variant_type(encoding: u8, in_data_value: bool) -> Decode<BuiltIn> {
    let kind = BuiltIn::from_byte(encoding & 0x3f).ok_or(StatusCode::BadDecodingError)?;
    let is_array = encoding & ARRAY != 0;
    let stands = match kind {
        BuiltIn::DiagnosticInfo => false,
        BuiltIn::Variant => is_array,
        BuiltIn::DataValue => !in_data_value,
        _ => true,
    };
    // Dimensions without an array say nothing (Part 6 §5.2.2.16).
    if !stands || (encoding & DIMENSIONS != 0 && !is_array) {
        return Err(StatusCode::BadDecodingError);
    }
    Ok(kind)
}

/// Fewest bytes that an element can take.
pub(super) fn least_size(kind: BuiltIn) -> usize {
    kind.fixed_size().unwrap_or(match kind {
        BuiltIn::String | BuiltIn::XmlElement | BuiltIn::ByteString => 4,
        BuiltIn::NodeId | BuiltIn::ExpandedNodeId => 2,
        BuiltIn::QualifiedName => 6,
        BuiltIn::ExtensionObject => 3,
        _ => 1,
    })
}
