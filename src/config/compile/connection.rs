//! `connections:` of a cell.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::scope::{ConnectionRef, Scope};
use crate::config::compile::Compiler;
use crate::config::de::{Keys, decode_entry};
use crate::config::docs::{DOCS, Key, did_you_mean, list, nearest};
use crate::config::source::{Ix, Place};
use crate::config::{driver, spec};
use crate::drivers::simulator::{self, Simulator};
use crate::drivers::{self, About, ConnectionPlan, DRIVERS, Driver, Remark, RemarkPlace, Settings, SettingsError};
use crate::model::{Connection, ConnectionIx, ServerPlan};

impl Compiler<'_> {
    pub(super) fn connections(&mut self, mapping: Ix, scope: &mut Scope) {
        if !self.expect_mapping(mapping, "connections") {
            return;
        }
        let entries: Vec<_> = self.source.entries(mapping).collect();
        for (key, value) in entries {
            let name = self.source.text(key).to_owned();
            if let Some(first) = scope.connections.get(&name) {
                let also = self.source.place(first.key);
                self.findings.error(&self.source, key, format!("`{name}` is defined twice")).also(also, "first here");
                continue;
            }
            self.check_name(key, &name);
            let unknown = ConnectionRef { key, node: value, ix: None, driver: None, allow_write: true };
            let connection = self.connection(&name, value, scope).unwrap_or(unknown);
            scope.connections.insert(name, ConnectionRef { key, ..connection });
        }
        self.check_same_device(scope);
    }

    /// Connections that seem to lead to one device by different names.
    fn check_same_device(&mut self, scope: &Scope) {
        let mut known: Vec<_> = scope.connections.values().filter_map(|at| Some((at.ix?, at.key))).collect();
        known.sort_unstable_by_key(|(ix, _)| ix.0);
        for (at, (ix, key)) in known.iter().enumerate() {
            let settings = &self.real_settings[ix.0 as usize];
            let doubt = known[..at].iter().find_map(|(other, key)| {
                let name = &self.drivers[other.0 as usize].name;
                Some((*key, self.real_settings[other.0 as usize].same_device(name, settings)?))
            });
            let Some((other_key, doubt)) = doubt else { continue };
            let also = self.source.place(other_key);
            let finding = self.findings.warning(&self.source, *key, doubt.message).also(also, "first here");
            finding.help(doubt.help);
        }
    }

    /// The driver that is named, or a finding.
    fn driver_named(&mut self, at: Ix) -> Option<&'static About> {
        let text = self.source.text(at).to_owned();
        if let Some(driver) = drivers::driver(&text) {
            return Some(driver);
        }
        let names = || DRIVERS.iter().map(|known| known.name);
        let also = DRIVERS.iter().find(|known| known.also.contains(&text.as_str()));
        let mut help =
            also.map_or_else(|| did_you_mean(&text, names()), |known| format!("did you mean `{}`?", known.name));
        if help.is_empty() {
            help = format!("known are {}", list(names(), 12));
        }
        self.findings.error(&self.source, at, format!("no driver `{text}`")).help(help);
        None
    }

    fn connection(&mut self, name: &str, value: Ix, scope: &Scope) -> Option<ConnectionRef> {
        let wanted = self.source.get(value, "driver").filter(|at| self.source.is_scalar(*at));
        let found = wanted.and_then(|at| self.driver_named(at));
        // A connection with a misspelt driver is checked by the keys of the driver that is meant.
        let meant = found.or_else(|| {
            let near = nearest(self.source.text(wanted?), DRIVERS.iter().map(|known| known.name))?;
            drivers::driver(near)
        });
        let owners: Vec<&str> = match meant {
            Some(driver) => vec![DOCS.connection_of(driver.name)],
            // Without a driver every driver's keys are known, so that only the driver is wrong.
            None => DOCS.drivers().iter().map(|of| of.connection.as_str()).collect(),
        };
        let keys = Keys::beside(&owners);
        let (common, is_whole) = decode_entry::<spec::Connection>(&mut self.source, value, keys, self.findings);
        let mut settings = meant.and_then(|meant| driver::settings(meant, &self.source, value, self.findings));
        if let (Some(known), Some(text)) = (&settings, meant.and_then(|meant| self.shown_place(value, meant))) {
            settings = Some(known.shown_as(text));
        }
        settings = settings.map(|known| known.hiding(&self.hidden_keys(value, known.driver())));
        if let Some(driver) = meant {
            self.refuse_plain_passwords(value, driver);
            self.doubt_plain_headers(value, driver);
        }
        let settings = settings.and_then(|settings| self.with_files(value, &settings));
        for error in settings.iter().flat_map(Settings::check) {
            self.refuse_setting(value, error);
        }
        let allow_write = common.as_ref().is_none_or(|common| common.allow_write.unwrap_or(!is_whole));
        let (Some(found), Some(common), Some(settings), true) = (found, common, settings, is_whole) else {
            return Some(ConnectionRef { key: value, node: value, ix: None, driver: meant, allow_write });
        };
        let ix = ConnectionIx(u32::try_from(self.drivers.len()).ok()?);
        let period = |given: Option<crate::model::Period>, default| given.map_or(default, |period| period.0);
        let connection = Connection {
            cell: scope.index,
            name: name.to_owned(),
            description: common.description.unwrap_or_default(),
            driver: if self.options.simulate { Simulator::NAME } else { found.name },
            enabled: common.enabled.unwrap_or(true),
            allow_write,
            timeout: period(common.timeout, Duration::from_secs(1)),
            retries: common.retries.unwrap_or(1),
            reconnect_max: period(common.reconnect_max, found.reconnect_max),
        };
        self.drivers.push(ConnectionPlan {
            ix,
            name: name.to_owned(),
            cell: self.plant.cells[usize::from(scope.index)].name.clone(),
            settings: if self.options.simulate { self.simulator_for(ix) } else { settings.clone() },
            timeout: connection.timeout,
            retries: connection.retries,
            reconnect_max: connection.reconnect_max,
            enabled: connection.enabled,
            is_scan: false,
            browses: Arc::default(),
            points: Arc::default(),
        });
        self.real_settings.push(settings);
        self.connection_nodes.push(value);
        self.plant.connections.push(connection);
        Some(ConnectionRef { key: value, node: value, ix: Some(ix), driver: meant, allow_write })
    }

    /// A password belongs into a file of its own, or into the environment of the server.
    fn refuse_plain_passwords(&mut self, connection: Ix, driver: &About) {
        let is_password = |key: &&Key| key.schema.get("x-password").is_some_and(|mark| mark == true);
        let keys: Vec<&Key> = DOCS.keys(DOCS.connection_of(driver.name)).iter().filter(is_password).collect();
        for key in keys {
            let Some(at) = self.source.get(connection, &key.name).filter(|at| self.source.is_scalar(*at)) else {
                continue;
            };
            if !self.source.is_secret(at) {
                let finding = self.findings.error(&self.source, at, "a password in the file itself");
                finding.help("write ${file:…} or ${env:…}");
            }
        }
    }

    /// Headers, of the connection or of one of its requests, whose names say that their value is a secret.
    fn doubt_plain_headers(&mut self, connection: Ix, driver: &About) {
        let is_marked = |key: &&Key| key.schema.get("x-headers").is_some_and(|mark| mark == true);
        let Some(key) = DOCS.keys(DOCS.connection_of(driver.name)).iter().find(is_marked) else { return };
        let mut plain = Vec::new();
        self.source.walk(connection, &mut |source, at| {
            if source.key_of(at).is_some_and(|named| source.text(named) == key.name) {
                let is_plain = |value: &Ix| source.is_scalar(*value) && !source.is_secret(*value);
                let secrets = source.entries(at).filter(|(name, _)| is_secret_header(source.text(*name)));
                plain.extend(secrets.map(|(_, value)| value).filter(is_plain));
            }
        });
        for at in plain {
            let finding = self.findings.warning(&self.source, at, "a secret in the file itself");
            finding.help("write ${file:…} or ${env:…}");
        }
    }

    /// The settings with the content of the files that they name; `None` where one could not be read, which was reported.
    fn with_files(&self, connection: Ix, settings: &Settings) -> Option<Settings> {
        settings.with_files(&|key| {
            let content = self.contents.get(&self.source.get(connection, key)?)?;
            Some(Arc::clone(&content.bytes))
        })
    }

    /// Findings about connections with all of their points; to be called when all tags are known.
    pub(super) fn check_together(&mut self) {
        // Simulated points have other addresses and other keys.
        if self.options.simulate {
            return;
        }
        for at in 0..self.drivers.len() {
            for remark in self.real_settings[at].check_together(&self.drivers[at]) {
                self.add_remark(at, remark);
            }
        }
    }

    /// Connections that lead to the server itself.
    pub(super) fn check_loops(&mut self, server: &ServerPlan) {
        for at in 0..self.real_settings.len() {
            if let Some(remark) = self.real_settings[at].check_loop(server) {
                // A cell that is looked at alone may belong to a server that listens elsewhere.
                let is_warning = server.file.is_none() && self.options.listen.is_none();
                self.add_remark(at, Remark { is_warning, ..remark });
            }
        }
    }

    fn add_remark(&mut self, at: usize, remark: Remark) {
        let node = self.connection_nodes[at];
        let ix = match remark.place {
            RemarkPlace::Key(key) => self.source.get(node, key),
            RemarkPlace::Entry(key, entry) => {
                let list = self.source.get(node, key);
                list.map(|list| self.source.children(list).nth(entry).unwrap_or(list))
            }
            RemarkPlace::Point(point) => self.addresses.get(&self.drivers[at].points[point].tag).copied(),
        };
        let ix = ix.unwrap_or(node);
        let finding = match remark.is_warning {
            true => self.findings.warning(&self.source, ix, remark.message),
            false => self.findings.error(&self.source, ix, remark.message),
        };
        finding.help(remark.help);
    }

    fn refuse_setting(&mut self, connection: Ix, error: SettingsError) {
        let Some(at) = self.source.get(connection, error.key) else { return };
        let file = self.contents.get(&at).and_then(|content| content.file);
        let finding = match error.in_file.zip(file) {
            Some((Range { start, end }, file)) => {
                let [start, end] = [start, end].map(|at| u32::try_from(at).unwrap_or(u32::MAX));
                let named = self.source.place(at);
                self.findings.error_at(Place { file, start, end }, error.message).also(named, "named here")
            }
            None => self.findings.error(&self.source, at, error.message),
        };
        finding.help(error.help);
    }

    /// The place of a device as it is written in the file, where a part of it came from outside of the file.
    fn shown_place(&self, connection: Ix, driver: &About) -> Option<String> {
        let parts: Vec<Ix> = driver.place.iter().filter_map(|key| self.source.get(connection, key)).collect();
        let shown = |at: &Ix| self.source.shown(*at).trim_matches(['"', '\'']);
        let is_hidden = parts.iter().any(|at| self.source.is_secret(*at));
        is_hidden.then(|| parts.iter().map(shown).collect::<Vec<_>>().join(":"))
    }

    /// Keys of a connection whose text came from outside of the file.
    fn hidden_keys(&self, connection: Ix, driver: &str) -> Vec<&'static str> {
        let names = DOCS.keys(DOCS.connection_of(driver)).iter().map(|key| key.name.as_str());
        let is_hidden = |key: &&str| self.source.get(connection, key).is_some_and(|at| self.source.is_secret(at));
        names.filter(is_hidden).collect()
    }

    /// Each connection gets signals of its own.
    fn simulator_for(&self, ix: ConnectionIx) -> Settings {
        Settings::of::<Simulator>(simulator::Settings { seed: u64::from(ix.0) + 1 })
    }
}

/// Whether a header of HTTP with this name carries a secret, as `Authorization` and `X-Api-Key` do.
fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["authorization", "cookie", "key", "token", "secret", "password"].iter().any(|part| name.contains(part))
}
