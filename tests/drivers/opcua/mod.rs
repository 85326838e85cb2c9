//! The driver of other OPC UA servers: opcell behind opcell, and other people's servers.

mod browse;
mod chain;
mod faults;
mod mirror;
mod peers;
mod probe;
mod security;

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Command, Stdio};

use opcell::value::Value;
use opcua::StatusCode;
use testkit::interop::PASSWORD;
use testkit::peers::{Peer, free_port, node};
use testkit::server::TestServer;
use testkit::ua::Session;
use testkit::until;

/// A server with one connection of driver `opcua`, and a session that looks at it.
pub(super) struct Follower {
    pub server: TestServer,
    pub session: Session,
}

/// The cell of a follower; `settings` and `nodes` are parts of its text.
pub(super) fn cell(url: &str, settings: &str, nodes: &str) -> String {
    format!(
        "schema: 1\ncell: line\nconnections:\n  peer: {{ driver: opcua, url: \"{url}\", allow_write: true, reconnect_max: 500ms, \
         publish_every: 50ms, {settings} }}\ndefaults: {{ connection: peer, poll: 20ms }}\nnodes:\n{nodes}"
    )
}

impl Follower {
    /// The files `right` and `wrong` hold passwords.
    pub fn start(cell: &str) -> Follower {
        Follower::start_in(testkit::program::folder(&[("cell.yaml", cell), ("right", PASSWORD), ("wrong", "wrong")]))
    }

    pub fn start_in(dir: tempfile::TempDir) -> Follower {
        let server = TestServer::start_with(dir);
        let session = Session::open(server.address);
        Follower { server, session }
    }

    pub fn status(&mut self, name: &str) -> StatusCode {
        self.session.read_value(testkit::request::text_id(name)).status.unwrap_or(StatusCode::Good)
    }

    pub fn value(&mut self, name: &str) -> Option<Value> {
        self.session.read_value(testkit::request::text_id(name)).value
    }

    /// Waits for this value, Good.
    pub fn until_is(&mut self, name: &str, value: &Value) {
        until(&format!("{name} is {value:?}"), || {
            let read = self.session.read_value(testkit::request::text_id(name));
            let is = read.status.is_none_or(|status| status.is_good())
                && read.value.as_ref().is_some_and(|read| read.same_bits(value));
            if is {
                return Ok(());
            }
            let error = self.session.read_value(testkit::request::text_id("@connections.peer.LastError")).value;
            Err(format!("{read:?}, {error:?}"))
        });
    }

    pub fn until_status(&mut self, name: &str, wanted: StatusCode) {
        until(&format!("{name} is {wanted}"), || {
            let status = self.status(name);
            if status == wanted { Ok(()) } else { Err(status.to_string()) }
        });
    }

    /// The state of the connection, and its last error.
    pub fn until_error(&mut self, words: &str) {
        until(&format!("the error says `{words}`"), || {
            let error = self.value("@connections.peer.LastError");
            match &error {
                Some(Value::String(text)) if text.contains(words) => Ok(()),
                _ => Err(format!("{error:?}")),
            }
        });
    }
}

/// Another program that serves, and obeys lines.
pub(super) struct Script {
    pub peer: Peer,
    input: ChildStdin,
    output: std::io::Lines<BufReader<std::process::ChildStdout>>,
    pub certificate: Option<String>,
    /// Its files.
    scratch: Option<tempfile::TempDir>,
}

impl Script {
    /// A server of node-opcua with so many numbers, and so many nodes a request; and its URL.
    pub fn of_node(many: u32, most: u32) -> Option<(Script, String)> {
        let command = node("node_opcua_server.js")?;
        let scratch = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let facts = serde_json::json!({ "port": port, "scratch": scratch.path(), "many": many, "most": most });
        let mut script = Script::start(command, &facts);
        script.scratch = Some(scratch);
        Some((script, format!("opc.tcp://127.0.0.1:{port}/acme")))
    }

    pub fn start(mut command: Command, facts: &serde_json::Value) -> Script {
        let mut child = command
            .arg(facts.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut script = Script { peer: Peer(child), input, output, certificate: None, scratch: None };
        loop {
            let line = script.line();
            if let Some(file) = line.strip_prefix("certificate ") {
                script.certificate = Some(file.to_owned());
            } else if line == "ready" {
                return script;
            }
        }
    }

    fn line(&mut self) -> String {
        self.output.next().expect("it runs").expect("text")
    }

    /// Lets it do something, and waits until it is done.
    pub fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("it listens");
        assert_eq!(self.line(), "done", "{line}");
    }
}
