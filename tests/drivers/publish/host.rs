//! A host of other people (mqtt-spb-wrapper), which prints what an edge node sends and sends it commands.

use std::fmt::Arguments;
use std::io::Write;
use std::process::{ChildStdin, Stdio};

use serde_json::{Value as Json, json};
use testkit::broker::Lines;
use testkit::peers::{self, Peer};

pub(crate) struct Host {
    orders: ChildStdin,
    lines: Lines,
    _peer: Peer,
}

impl Host {
    /// A host of the group `Plant`, which has subscribed.
    pub(crate) fn start(port: u16) -> Option<Host> {
        let mut command = peers::python("mqtt_spb_wrapper", "sparkplug_host.py")?;
        command.args([&port.to_string(), "Plant"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python starts");
        let orders = child.stdin.take().expect("piped");
        let mut lines = Lines::of(&mut child);
        while lines.line() != "ready" {}
        Some(Host { orders, lines, _peer: Peer(child) })
    }

    /// The next message.
    pub(crate) fn next(&mut self) -> Json {
        serde_json::from_str(&self.lines.line()).expect("JSON")
    }

    /// The next message of this kind; the device is empty for the node. Others are an error.
    pub(crate) fn expect(&mut self, kind: &str, device: &str) -> Json {
        let message = self.next();
        let wanted = (json!(kind), if device.is_empty() { Json::Null } else { json!(device) });
        assert_eq!((message["kind"].clone(), message["device"].clone()), wanted, "{message}");
        message
    }

    pub(crate) fn order(&mut self, order: Arguments<'_>) {
        writeln!(self.orders, "{order}").expect("it reads");
    }
}

pub(crate) fn metrics(message: &Json) -> &Vec<Json> {
    message["metrics"].as_array().expect("metrics")
}

pub(crate) fn metric<'m>(message: &'m Json, name: &str) -> &'m Json {
    metrics(message).iter().find(|metric| metric["name"] == name).unwrap_or_else(|| panic!("no {name}: {message}"))
}
