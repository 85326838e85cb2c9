//! TSAPs: the two bytes by which COTP names each end of a connection (ISO 8073).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error};

/// A TSAP of two bytes, written as `10.00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Tsap(pub u16);

/// TSAP of this end unless `local_tsap` says otherwise: what the vendor's own programs use.
pub(crate) const LOCAL: Tsap = Tsap(0x0100);

impl Tsap {
    /// The CPU's TSAP: kind of connection, rack and slot.
    pub(crate) fn of_cpu(resource: Resource, rack: u8, slot: u8) -> Tsap {
        Tsap(u16::from(resource.number()) << 8 | u16::from(rack & 7) << 5 | u16::from(slot & 31))
    }

    fn parse(text: &str) -> Option<Tsap> {
        let (high, low) = text.split_once('.')?;
        let byte = |text: &str| {
            let is_hex = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            u8::from_str_radix(text, 16).ok().filter(|_| is_hex)
        };
        Some(Tsap(u16::from_be_bytes([byte(high)?, byte(low)?])))
    }
}

impl fmt::Display for Tsap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [high, low] = self.0.to_be_bytes();
        write!(f, "{high:02X}.{low:02X}")
    }
}

impl<'de> Deserialize<'de> for Tsap {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Tsap, D::Error> {
        let text = String::deserialize(from)?;
        let wrong = || D::Error::custom(format!("`{text}` is not a TSAP | write two hexadecimal bytes: 10.00"));
        Tsap::parse(&text).ok_or_else(wrong)
    }
}

impl schemars::JsonSchema for Tsap {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "tsap".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "number"] })
    }
}

/// Kind of connection; a CPU has a few of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Resource {
    /// Programming device.
    Pg,
    /// Operator panel.
    #[default]
    Op,
    Basic,
}

impl Resource {
    fn number(self) -> u8 {
        match self {
            Resource::Pg => 1,
            Resource::Op => 2,
            Resource::Basic => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tsap_is_two_bytes_with_a_dot() {
        for (text, tsap) in [("10.00", 0x1000), ("02.01", 0x0201), ("fF.0a", 0xff0a)] {
            assert_eq!(Tsap::parse(text), Some(Tsap(tsap)), "{text}");
        }
        for wrong in ["1000", "1.00", "10.0", "10.000", "0x10.00", "+1.00", "10,00", "g0.00", ""] {
            assert_eq!(Tsap::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Tsap::of_cpu(Resource::Op, 0, 1).to_string(), "02.01");
        assert_eq!(Tsap::of_cpu(Resource::Pg, 2, 3).to_string(), "01.43");
    }
}
