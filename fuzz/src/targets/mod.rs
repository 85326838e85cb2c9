//! All targets by name; a file of this folder is one target.

mod audit;
mod broker;
mod certificates;
mod channel;
mod chunks;
mod client_channel;
mod ethernet_ip;
mod formula;
mod history;
mod mirror;
mod modbus;
mod payload;
mod publish;
mod replay;
mod responses;
mod s7;
mod service;
mod sparkplug;
mod structures;
mod sysfs;
mod transport;
mod values;
mod yaml;

/// A target, and the run of it.
pub(super) const TARGETS: &[Target] = &[
    Target { name: "audit", run: audit::run },
    Target { name: "broker", run: broker::run },
    Target { name: "certificates", run: certificates::run },
    Target { name: "channel", run: channel::run },
    Target { name: "chunks", run: chunks::run },
    Target { name: "client_channel", run: client_channel::run },
    Target { name: "ethernet_ip", run: ethernet_ip::run },
    Target { name: "formula", run: formula::run },
    Target { name: "history", run: history::run },
    Target { name: "mirror", run: mirror::run },
    Target { name: "modbus", run: modbus::run },
    Target { name: "payload", run: payload::run },
    Target { name: "publish", run: publish::run },
    Target { name: "replay", run: replay::run },
    Target { name: "responses", run: responses::run },
    Target { name: "s7", run: s7::run },
    Target { name: "service", run: service::run },
    Target { name: "sparkplug", run: sparkplug::run },
    Target { name: "structures", run: structures::run },
    Target { name: "sysfs", run: sysfs::run },
    Target { name: "transport", run: transport::run },
    Target { name: "values", run: values::run },
    Target { name: "yaml", run: yaml::run },
];

pub(super) struct Target {
    pub name: &'static str,
    pub run: fn(),
}
