//! `connections:` of a cell.

use std::time::Duration;

use crate::config::compile::Compiler;
use crate::config::compile::cell::{Link, Scope};
use crate::config::de::decode_entry;
use crate::config::docs::{did_you_mean, list, nearest};
use crate::config::source::Ix;
use crate::config::{driver, spec};
use crate::drivers::{ConnectionPlan, DRIVERS, Kind, Settings, modbus, simulator};
use crate::model::{Connection, ConnectionIx};

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
                self.findings.error(&self.source, key, format!("`{name}` is here twice")).also(also, "first here");
                continue;
            }
            self.check_name(key, &name);
            let link = self.connection(&name, value, scope).unwrap_or(Link {
                key,
                node: value,
                ix: None,
                kind: None,
                allow_write: true,
            });
            scope.connections.insert(name, Link { key, ..link });
        }
        self.check_same_device(scope);
    }

    /// One device by two names: they share a link, since what one link reads and writes back another may have changed.
    fn check_same_device(&mut self, scope: &Scope) {
        let mut links: Vec<_> = scope.connections.values().filter_map(|link| Some((link.ix?, link.key))).collect();
        links.sort_unstable_by_key(|(ix, _)| ix.0);
        for (at, (ix, key)) in links.iter().enumerate() {
            let settings = &self.real_settings[ix.0 as usize];
            let spellings = links[..at].iter().find_map(|(other, key)| {
                let (first, second) = modbus::two_spellings(&self.real_settings[other.0 as usize], settings)?;
                Some((other.0, *key, first.to_owned(), second.to_owned()))
            });
            let Some((other, other_key, first, second)) = spellings else { continue };
            let name = &self.drivers[other as usize].name;
            let message = format!("`{second}` is the host `{first}` of connection `{name}`, with the same unit_id");
            let also = self.source.place(other_key);
            let finding = self.findings.warning(&self.source, *key, message).also(also, "first here");
            finding.help("both share one link; use one connection, or write the host alike in both");
        }
    }

    fn connection(&mut self, name: &str, value: Ix, scope: &Scope) -> Option<Link> {
        let wanted = self.source.get(value, "driver").filter(|at| self.source.is_scalar(*at));
        let found = wanted.and_then(|at| DRIVERS.iter().find(|known| known.name == self.source.text(at)));
        if let (Some(at), None) = (wanted, found) {
            let text = self.source.text(at).to_owned();
            let names = || DRIVERS.iter().map(|known| known.name);
            let hint = match text.as_str() {
                "modbus" => "did you mean `modbus-tcp`?".to_owned(),
                _ => did_you_mean(&text, names()),
            };
            let hint = if hint.is_empty() { format!("known are {}", list(names(), 12)) } else { hint };
            self.findings.error(&self.source, at, format!("no driver `{text}`")).help(hint);
        }
        // A misspelt driver is judged by the keys of the one that is meant.
        let meant = found.or_else(|| {
            let text = wanted.map(|at| self.source.text(at)).filter(|text| *text != "modbus")?;
            let near = nearest(text, DRIVERS.iter().map(|known| known.name))?;
            DRIVERS.iter().find(|known| known.name == near)
        });
        let owners: &[&str] = match meant {
            Some(driver) => &[driver::settings_struct(driver.kind)],
            // Without a driver every driver's keys are known, so that only the driver is wrong.
            None => &["TcpSettings", "RtuSettings", "Settings"],
        };
        let (common, is_whole) = decode_entry::<spec::Connection>(&mut self.source, value, owners, self.findings);
        let mut settings = meant.and_then(|meant| driver::settings(meant.kind, &self.source, value, self.findings));
        if let (Some(settings), Some(text)) = (&mut settings, self.shown_place(value)) {
            settings.show_as(text);
        }
        if let (Some(Settings::ModbusTcp(tcp)), Some(host)) = (&settings, self.source.get(value, "host"))
            && tcp.host.is_empty()
            && self.source.is_scalar(host)
        {
            let finding = self.findings.error(&self.source, host, "`host` is blank");
            finding.help("write the name or the IP address of the device");
        }
        let kind = meant.map(|meant| meant.kind);
        let allow_write = common.as_ref().is_none_or(|common| common.allow_write.unwrap_or(!is_whole));
        let (Some(found), Some(common), Some(settings), true) = (found, common, settings, is_whole) else {
            return Some(Link { key: value, node: value, ix: None, kind, allow_write });
        };
        let ix = ConnectionIx(u32::try_from(self.drivers.len()).ok()?);
        let period = |given: Option<crate::model::Period>, default| given.map_or(default, |period| period.0);
        let connection = Connection {
            cell: scope.index,
            name: name.to_owned(),
            description: common.description.unwrap_or_default(),
            driver: if self.options.simulate { "simulator" } else { found.name },
            enabled: common.enabled.unwrap_or(true),
            allow_write,
            timeout: period(common.timeout, Duration::from_secs(1)),
            retries: common.retries.unwrap_or(1),
            reconnect_max: period(common.reconnect_max, longest_wait(found.kind)),
        };
        self.drivers.push(ConnectionPlan {
            ix,
            name: name.to_owned(),
            settings: if self.options.simulate { self.simulator_for(ix) } else { settings.clone() },
            timeout: connection.timeout,
            retries: connection.retries,
            reconnect_max: connection.reconnect_max,
            enabled: connection.enabled,
            points: Vec::new(),
        });
        self.real_settings.push(settings);
        self.plant.connections.push(connection);
        Some(Link { key: value, node: value, ix: Some(ix), kind, allow_write })
    }

    /// The place of a device as it is written in the file, where a part of it came from outside of the file.
    fn shown_place(&self, connection: Ix) -> Option<String> {
        let parts = ["host", "port", "serial"].map(|key| self.source.get(connection, key));
        let parts: Vec<Ix> = parts.into_iter().flatten().collect();
        let shown = |at: &Ix| self.source.shown(*at).trim_matches(['"', '\'']);
        let is_hidden = parts.iter().any(|at| self.source.is_secret(*at));
        is_hidden.then(|| parts.iter().map(shown).collect::<Vec<_>>().join(":"))
    }

    /// Each connection gets signals of its own.
    fn simulator_for(&self, ix: ConnectionIx) -> Settings {
        Settings::Simulator(simulator::Settings { seed: u64::from(ix.0) + 1 })
    }
}

/// A device on a network is back within seconds; a serial line that is gone was pulled by hand.
fn longest_wait(kind: Kind) -> Duration {
    match kind {
        Kind::ModbusTcp | Kind::Simulator => Duration::from_secs(5),
        Kind::ModbusRtu => Duration::from_secs(30),
    }
}
