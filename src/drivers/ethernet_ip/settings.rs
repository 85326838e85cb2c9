//! The keys of an EtherNet/IP connection; their doc comments are the user's reference.

use super::route::Route;
use crate::drivers::host::plain_host;
use crate::drivers::reading::SettingsError;

/// Tags of Logix PLCs by their names, over EtherNet/IP: ControlLogix, CompactLogix, Micro800 and others.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct EthernetIp {
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
    /// Slot of the CPU in the backplane (default 0).
    #[serde(default)]
    #[schemars(range(min = 0, max = 31), extend("x-also" = ["cpu_slot", "processor_slot"]))]
    pub slot: Option<u8>,
    /// Route to the CPU in pairs port, link, as 1,0,2,192.168.5.2,1,0; none for Micro800 and CPUs without a backplane (default:
    /// 1,SLOT).
    #[serde(default)]
    #[schemars(extend("x-also" = ["route", "route_path", "connection_path", "cip_path"]))]
    pub path: Option<String>,
}

impl EthernetIp {
    /// The route, or the slot's where `path` is wrong and was reported.
    pub(super) fn route(&self) -> Route {
        let of_slot = || Route::slot(self.slot.unwrap_or(0));
        self.path.as_ref().map_or_else(of_slot, |path| Route::parse(path).unwrap_or_else(|_| of_slot()))
    }

    pub(super) fn faults(&self) -> Vec<SettingsError> {
        let error = |key, message: String, help: String| SettingsError { key, in_file: None, message, help };
        let mut faults = Vec::new();
        if self.host.is_empty() {
            // A host that is missing was reported; a blank one passes the decoder.
            let help = "write the name or the IP address of the device";
            faults.push(error("host", "`host` is blank".to_owned(), help.to_owned()));
        }
        if self.path.is_some() && self.slot.is_some() {
            let help = "delete `slot`: the last number of the path is the slot".to_owned();
            faults.push(error("path", "`path` not together with `slot`".to_owned(), help));
        }
        if let Some(Err(fault)) = self.path.as_deref().map(Route::parse) {
            faults.push(error("path", fault.message, fault.help));
        }
        faults
    }

    /// Whether a tag's name means the same: it is in the same CPU.
    pub(super) fn is_same_source(&self, new: &EthernetIp) -> bool {
        plain_host(&self.host) == plain_host(&new.host) && self.port == new.port && self.route() == new.route()
    }
}

fn default_port() -> u16 {
    44_818
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn settings(value: &Value) -> EthernetIp {
        serde_json::from_value(value.clone()).expect("settings")
    }

    #[test]
    fn each_setting_is_known_to_be_another_source_or_none() {
        let others = json!({ "host": "other", "port": 1, "slot": 2, "path": "1,4" });
        let schema = serde_json::to_value(schemars::schema_for!(EthernetIp)).expect("a schema");
        let required = json!({ "host": "a" });
        for key in schema["properties"].as_object().expect("keys").keys() {
            let mut changed = required.clone();
            changed[key] = others[key].clone();
            assert!(!settings(&required).is_same_source(&settings(&changed)), "{key}");
        }
        assert!(settings(&required).is_same_source(&settings(&json!({ "host": "A", "path": "1,0" }))));
    }
}
