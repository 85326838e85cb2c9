//! Keys of a connection that all drivers over a broker have, and their checks.

use std::time::Duration;

use super::connect::Options;
use super::packet::Version;
use super::url::Url;
use crate::drivers::plan::ConnectionPlan;
use crate::drivers::reading::{Remark, RemarkPlace, SettingsError};
use crate::drivers::tls::TlsFiles;
use crate::model::{Period, Size};
use crate::value::Hidden;

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

/// The session's part of a driver's settings.
#[derive(Debug, Clone)]
pub(crate) struct SessionKeys<'k> {
    pub url: &'k str,
    pub user: Option<&'k str>,
    pub password: Option<&'k Hidden<String>>,
    pub client_id: Option<&'k str>,
    pub keep_alive: Period,
    pub version: VersionSetting,
    pub max_message: Size,
    /// Keys whose text came from outside of the cell file.
    pub hidden: &'k [&'static str],
    pub files: TlsFiles,
}

/// The client id of a connection that gives none.
pub(crate) fn own_id(plan: &ConnectionPlan) -> String {
    format!("opcell-{}-{}", plan.cell, plan.name)
}

impl SessionKeys<'_> {
    /// The session of a connection.
    pub(crate) fn options(self, plan: &ConnectionPlan) -> Options {
        // Config has refused another url, and opens none.
        let nowhere = Url { host: String::new(), port: 1883, is_tls: false };
        Options {
            url: Url::parse(self.url).unwrap_or(nowhere),
            client_id: match plan.is_scan {
                true => scan_id(),
                false => self.client_id.map_or_else(|| own_id(plan), str::to_owned),
            },
            user: self.user.map(str::to_owned),
            hidden: self.hidden.to_vec(),
            password: self.password.cloned(),
            keep_alive: self.keep_alive.0,
            version: self.version.into(),
            max_message: usize::try_from(self.max_message.0).unwrap_or(usize::MAX),
            timeout: plan.timeout,
            files: self.files,
        }
    }
}

/// A client id that no other client has: a broker would end the session of a server with the same one. No broker refuses 23
/// letters (3.1.1 §3.1.3.1).
fn scan_id() -> String {
    format!("opcell-{:016x}", fastrand::u64(..))
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
    if keys.password.is_some() && keys.user.is_none() {
        refuse("password", "`password` needs `user`".to_owned(), "add `user`");
    }
    let is_long = |text: Option<&str>| text.is_some_and(|text| text.len() > usize::from(u16::MAX));
    if is_long(keys.user) || is_long(keys.client_id) {
        refuse("url", "`user` and `client_id` have at most 65,535 bytes".to_owned(), "write shorter ones");
    }
    if keys.client_id == Some("") {
        refuse("client_id", "`client_id` is empty".to_owned(), "delete it, or write a name");
    }
    errors.extend(keys.files.check());
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
