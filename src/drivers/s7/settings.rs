//! The keys of an S7 connection and of a point; their doc comments are the user's reference.

use super::raw_type::RawType;
use super::tsap::{LOCAL, Resource, Tsap};
use crate::drivers::host::plain_host;
use crate::drivers::invalid::RawNumber;
use crate::drivers::keys::point_keys;
use crate::drivers::reading::{Part, SettingsError};

/// Siemens S7-300, 400, 1200, 1500, S7-200 and LOGO, by the S7 protocol over TCP (ISO on TCP).
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct S7Settings {
    /// Host name or IP address.
    #[serde(deserialize_with = "crate::drivers::host::read")]
    #[schemars(extend("x-also" = ["ip", "address", "hostname", "server"], "x-secret" = true))]
    pub host: String,
    /// Name of the device's place in logs and for clients, where a part of the place must not be shown.
    #[serde(skip)]
    #[schemars(skip)]
    pub shown: Option<String>,
    /// TCP port.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535), extend("x-unit" = "TCP port", "x-secret" = true))]
    pub port: u16,
    /// Rack of the CPU (default 0).
    #[serde(default)]
    #[schemars(range(min = 0, max = 7))]
    pub rack: Option<u8>,
    /// Slot of the CPU: 1 for S7-1200 and 1500, 2 for 300 (default 1).
    #[serde(default)]
    #[schemars(range(min = 0, max = 31))]
    pub slot: Option<u8>,
    /// Which of the CPU's connections is used (default op).
    #[serde(default)]
    #[schemars(extend("x-also" = ["connection_type"]))]
    pub resource: Option<Resource>,
    /// Own TSAP, two hexadecimal bytes as 10.00, for LOGO and S7-200 (default: the CPU's usual, 01.00).
    #[serde(default)]
    pub local_tsap: Option<Tsap>,
    /// The PLC's TSAP, two hexadecimal bytes as 02.00, instead of `rack` and `slot` (default: from `resource`, `rack` and
    /// `slot`).
    #[serde(default)]
    pub remote_tsap: Option<Tsap>,
    /// Largest PDU asked for; the PLC may give less.
    #[serde(default = "default_pdu")]
    #[schemars(range(min = 240, max = 960), extend("x-unit" = "bytes", "x-also" = ["pdu_size", "pdu_length"]))]
    pub pdu: u16,
    /// Largest hole of unused bytes that one request reads along.
    #[serde(default = "default_gap")]
    #[schemars(range(min = 0, max = 400), extend("x-unit" = "bytes", "x-also" = ["gap", "max_hole"]))]
    pub max_gap: u16,
    /// Zone in which the PLC keeps DT and DTL; `local` is the server's. LDT and DATE are always UTC (default utc).
    #[serde(default)]
    #[schemars(extend("x-also" = ["timezone", "time_zone"]))]
    pub clock: Clock,
}

/// Zone of a PLC's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Clock {
    #[default]
    Utc,
    Local,
}

/// Keys of a value in addition to its address, as `DB10.DBD4`.
#[derive(Debug, Clone, PartialEq, Default, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct S7Point {
    /// Type in the PLC; `text` is an array of CHAR, `string` and `wstring` have the PLC's header (default: from the letter
    /// of the address and `type`; B with String: string, with ByteString: bytes).
    #[serde(default)]
    #[schemars(extend("x-also" = ["data_type", "value_type", "raw"]))]
    pub raw_type: Option<RawType>,
    /// Raw values that mean "no value" (65535, -32768, 0x8000): the tag becomes BadSensorFailure.
    /// They are compared in `raw_type`; a hexadecimal number is the bit pattern (default none).
    #[serde(default)]
    #[schemars(extend("x-also" = ["nan_value", "no_value"]))]
    pub invalid: Option<Vec<RawNumber>>,
    /// NaN and ±Infinity are values. Without this key they make the tag BadSensorFailure, and a client cannot write NaN.
    /// Only for float32 and float64 (default false).
    #[serde(default)]
    #[schemars(extend("x-also" = ["allow_nan"]))]
    pub nan: Option<bool>,
}

point_keys!(S7Point { raw_type, invalid, nan });

impl S7Point {
    /// Removes a key whose value was refused, or replaces an entry of `invalid` by a number that fits, so that the other
    /// entries keep their places; false for keys of other drivers.
    pub(super) fn leave_out(&mut self, part: Part) -> bool {
        match part {
            Part::Key("raw_type") => self.raw_type = None,
            Part::Key("invalid") => self.invalid = None,
            Part::Key("nan") => self.nan = None,
            Part::Entry("invalid", at) => match self.invalid.as_mut().and_then(|all| all.get_mut(at)) {
                Some(entry) => *entry = RawNumber("0".to_owned()),
                None => return false,
            },
            _ => return false,
        }
        true
    }
}

impl S7Settings {
    pub(crate) fn local(&self) -> Tsap {
        self.local_tsap.unwrap_or(LOCAL)
    }

    pub(crate) fn remote(&self) -> Tsap {
        let (rack, slot) = (self.rack.unwrap_or(0), self.slot.unwrap_or(1));
        self.remote_tsap.unwrap_or_else(|| Tsap::of_cpu(self.resource.unwrap_or_default(), rack, slot))
    }

    /// Keys that contradict each other.
    pub(super) fn faults(&self) -> Vec<SettingsError> {
        let error = |key, message: &str, help: &str| SettingsError {
            key,
            in_file: None,
            message: message.into(),
            help: help.into(),
        };
        let mut faults = Vec::new();
        if self.host.is_empty() {
            // A host that is missing was reported; a blank one passes the decoder.
            faults.push(error("host", "`host` is blank", "write the name or the IP address of the device"));
        }
        if self.local_tsap.is_some() && self.remote_tsap.is_none() {
            faults.push(error("local_tsap", "`local_tsap` only with `remote_tsap`", "add `remote_tsap`, or delete it"));
        }
        if self.remote_tsap.is_some() {
            let given = [("rack", self.rack.is_some()), ("slot", self.slot.is_some())];
            if given.iter().any(|(_, is_given)| *is_given) {
                let message = "`remote_tsap` not together with `rack` or `slot`";
                faults.push(error("remote_tsap", message, "delete `rack` and `slot`, or `remote_tsap`"));
            }
            if self.resource.is_some() {
                let message = "`resource` not together with `remote_tsap`";
                faults.push(error("resource", message, "delete it: the first byte of the TSAP says the same"));
            }
        }
        faults
    }

    /// Whether a point has the same meaning: it is in the same PLC, and its value is made in the same way.
    pub(super) fn is_same_source(&self, new: &S7Settings) -> bool {
        let S7Settings {
            host,
            shown: _,
            port,
            rack: _,
            slot: _,
            resource: _,
            local_tsap: _,
            remote_tsap: _,
            pdu: _,
            max_gap: _,
            clock,
        } = self;
        let place = |settings: &S7Settings| match settings.remote_tsap {
            Some(tsap) => (true, tsap.0),
            None => (false, u16::from(settings.rack.unwrap_or(0)) << 8 | u16::from(settings.slot.unwrap_or(1))),
        };
        plain_host(host) == plain_host(&new.host)
            && *port == new.port
            && *clock == new.clock
            && place(self) == place(new)
    }
}

fn default_port() -> u16 {
    102
}

fn default_pdu() -> u16 {
    960
}

fn default_gap() -> u16 {
    16
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn settings(value: &Value) -> S7Settings {
        serde_json::from_value(value.clone()).expect("settings")
    }

    #[test]
    fn each_setting_is_known_to_be_another_source_or_none() {
        let others = json!({
            "host": ["other", false], "port": [103, false], "rack": [1, false], "slot": [2, false], "clock": ["local", false],
            "remote_tsap": ["02.00", false], "resource": ["pg", true], "local_tsap": ["10.00", true],
            "pdu": [480, true], "max_gap": [1, true],
        });
        let schema = serde_json::to_value(schemars::schema_for!(S7Settings)).expect("a schema");
        let required = json!({ "host": "a" });
        for key in schema["properties"].as_object().expect("keys").keys() {
            let mut changed = required.clone();
            changed[key] = others[key][0].clone();
            let is_same = settings(&required).is_same_source(&settings(&changed));
            assert_eq!(Some(is_same), others[key][1].as_bool(), "{key}");
            assert!(settings(&required) != settings(&changed), "{key}");
        }
    }

    #[test]
    fn the_tsap_of_the_plc_follows_from_the_keys() {
        for (more, tsap) in [
            (json!({}), "02.01"),
            (json!({ "slot": 2 }), "02.02"),
            (json!({ "resource": "basic", "rack": 1, "slot": 3 }), "03.23"),
            (json!({ "remote_tsap": "10.00" }), "10.00"),
        ] {
            let mut value = json!({ "host": "a" });
            value.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
            assert_eq!(settings(&value).remote().to_string(), tsap, "{value}");
        }
    }
}
