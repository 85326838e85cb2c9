//! Keys of a connection that all drivers over a broker have, and their checks.

use std::time::Duration;

use super::connect::Files;
use super::packet::Version;
use super::url::Url;
use crate::drivers::reading::{Remark, RemarkPlace, SettingsError};
use crate::model::{Period, Size};

/// Version of MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
pub(crate) enum VersionSetting {
    #[default]
    #[serde(rename = "3.1.1")]
    V311,
    #[serde(rename = "5")]
    V5,
}

impl From<VersionSetting> for Version {
    fn from(version: VersionSetting) -> Version {
        match version {
            VersionSetting::V311 => Version::V311,
            VersionSetting::V5 => Version::V5,
        }
    }
}

/// Keys that are checked together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionKeys<'k> {
    pub url: &'k str,
    pub user: Option<&'k str>,
    pub has_password: bool,
    pub client_id: Option<&'k str>,
    pub keep_alive: Period,
    pub max_message: Size,
    pub files: &'k Files,
}

/// Faults of the keys that their types don't show.
pub(crate) fn check_session(keys: &SessionKeys<'_>) -> Vec<SettingsError> {
    let mut errors = Vec::new();
    let mut refuse = |key: &'static str, message: String, help: &str| {
        errors.push(SettingsError { key, in_file: None, message, help: help.to_owned() });
    };
    let url = Url::parse(keys.url);
    if let Err(no) = &url {
        refuse("url", no.message.clone(), &no.help);
    }
    if url.is_ok_and(|url| !url.is_tls) {
        let named = [("ca", &keys.files.ca), ("certificate", &keys.files.certificate), ("key", &keys.files.key)];
        if let Some((key, _)) = named.into_iter().find(|(_, file)| file.is_some()) {
            refuse(key, format!("`{key}` is for mqtts"), "write mqtts:// in `url`, or delete the key");
        }
    }
    if !(Duration::from_secs(1)..=Duration::from_secs(64_800)).contains(&keys.keep_alive.0) {
        refuse("keep_alive", format!("{} is out of range 1s..18h", keys.keep_alive), "30s is usual");
    }
    if !(1 << 10..=16 << 20).contains(&keys.max_message.0) {
        refuse("max_message", format!("{} is out of range 1KiB..16MiB", keys.max_message), "1MiB is usual");
    }
    if keys.has_password && keys.user.is_none() {
        refuse("password", "`password` needs `user`".to_owned(), "add `user`");
    }
    let is_long = |text: Option<&str>| text.is_some_and(|text| text.len() > usize::from(u16::MAX));
    if is_long(keys.user) || is_long(keys.client_id) {
        refuse("url", "`user` and `client_id` have at most 65,535 bytes".to_owned(), "write shorter ones");
    }
    if keys.client_id == Some("") {
        refuse("client_id", "`client_id` is empty".to_owned(), "delete it, or write a name");
    }
    errors.extend(keys.files.tls().check());
    errors
}

/// A port that is usual with the other scheme.
pub(crate) fn doubt_port(url: &str) -> Option<Remark> {
    let Url { port, is_tls, .. } = Url::parse(url).ok()?;
    let (message, help) = match (port, is_tls) {
        (8883, false) => ("8883 is usually the port of mqtts", "write mqtts://, unless the broker is plain there"),
        (1883, true) => ("1883 is usually the port of mqtt without TLS", "8883 is usual for mqtts"),
        _ => return None,
    };
    let place = RemarkPlace::Key("url");
    Some(Remark { place, is_warning: true, message: message.to_owned(), help: help.to_owned() })
}
