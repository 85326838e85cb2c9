//! The toy drivers from their devices to an OPC UA client and back, on a real server.

mod history;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use opcua::StatusCode;
use parking_lot::Mutex;

use super::{Running, assemble};
use crate::config::{self, Options, Shown};
use crate::drivers::{self, PointSettings};
use crate::stack::channel::ClientSettings;
use crate::stack::client::Client;
use crate::stack::codec::{DataValue, IdRef, NodeIdRef, QualifiedNameRef, Reader, Writer};
use crate::stack::crypto::{MessageSecurityMode, Policy};
use crate::stack::transport::Limits;
use crate::value::{UaTime, Value};

const PATIENCE: Duration = Duration::from_secs(20);

/// A device on a socket: it answers each line, and says more when the test wants it to.
struct Device {
    port: u16,
    /// The present connection.
    stream: Arc<Mutex<Option<TcpStream>>>,
    /// Lines that came.
    heard: Arc<Mutex<Vec<String>>>,
    is_open: Arc<AtomicBool>,
}

impl Device {
    /// Greets each connection by the first line, and answers others by `answer`.
    fn start(greeting: &'static str, answer: fn(&str) -> String) -> Device {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let device = Device {
            port: listener.local_addr().expect("an address").port(),
            stream: Arc::default(),
            heard: Arc::default(),
            is_open: Arc::new(AtomicBool::new(true)),
        };
        let (stream, heard, is_open) =
            (Arc::clone(&device.stream), Arc::clone(&device.heard), Arc::clone(&device.is_open));
        std::thread::spawn(move || {
            for incoming in listener.incoming() {
                let Ok(mut incoming) = incoming else { return };
                if !is_open.load(Ordering::Relaxed) {
                    continue;
                }
                let Ok(copy) = incoming.try_clone() else { return };
                if !greeting.is_empty() && writeln!(incoming, "{greeting}").is_err() {
                    continue;
                }
                *stream.lock() = Some(copy);
                let Ok(lines) = incoming.try_clone().map(BufReader::new) else { return };
                for line in lines.lines().map_while(Result::ok) {
                    let reply = answer(&line);
                    heard.lock().push(line);
                    if writeln!(incoming, "{reply}").is_err() {
                        break;
                    }
                }
            }
        });
        device
    }

    /// Sends all lines at once.
    fn say(&self, line: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(stream) = &mut *self.stream.lock() {
                stream.write_all(format!("{line}\n").as_bytes()).expect("the driver listens");
                return;
            }
            assert!(Instant::now() < deadline, "no driver came");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the connection, and takes no other until `open`.
    fn lose(&self) {
        self.is_open.store(false, Ordering::Relaxed);
        if let Some(stream) = self.stream.lock().take() {
            stream.shutdown(std::net::Shutdown::Both).expect("an open connection");
        }
    }

    fn open(&self) {
        self.is_open.store(true, Ordering::Relaxed);
    }
}

/// An anonymous session without security.
struct Session {
    client: Client,
    token: Vec<u8>,
}

impl Session {
    fn open(running: &Running) -> Session {
        let address = running.addresses[0];
        let settings = ClientSettings {
            limits: Limits::default(),
            policy: Policy::None,
            mode: MessageSecurityMode::None,
            identity: None,
            server: None,
            lifetime: Duration::from_secs(3600),
        };
        let stream = TcpStream::connect(address).expect("a connection");
        let client = Client::over(stream, &format!("opc.tcp://{address}"), settings, PATIENCE).expect("a channel");
        let mut session = Session { client, token: Vec::new() };
        let created = session.call(461, |w| {
            w.text("urn:toy");
            w.string(None);
            w.u8(0);
            w.i32(1);
            w.string(None);
            w.string(None);
            w.null_array();
            w.string(None);
            w.text("opc.tcp://127.0.0.1:4840");
            w.text("a toy's client");
            w.bytes(Some(&[7; 32]));
            w.bytes(None);
            w.f64(60_000.0);
            w.u32(0);
        });
        let mut reader = Reader::new(&created);
        reader.node_id().expect("a session id");
        let IdRef::Opaque(token) = reader.node_id().expect("a token").id else { panic!("an opaque token") };
        session.token = token.to_vec();
        session.call(467, |w| {
            w.string(None);
            w.bytes(None);
            w.null_array();
            w.null_array();
            w.extension_object(321, |w| w.text("anonymous"));
            w.string(None);
            w.bytes(None);
        });
        session
    }

    /// The body of the response, after its header.
    fn call(&mut self, type_id: u32, body: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let token = self.token.clone();
        let answer = self.client.call(|w| {
            w.node_id(NodeIdRef::numeric(0, type_id));
            let is_new = token.is_empty();
            w.node_id(if is_new { NodeIdRef::NULL } else { NodeIdRef { namespace: 0, id: IdRef::Opaque(&token) } });
            w.time(UaTime::now());
            w.u32(1);
            w.u32(0);
            w.string(None);
            w.u32(0);
            w.null_extension_object();
            body(w);
        });
        let answer = answer.expect("an answer");
        let mut reader = Reader::new(&answer);
        reader.node_id().expect("a type id");
        reader.time().expect("a time");
        reader.u32().expect("a handle");
        assert_eq!(reader.status().expect("a result"), StatusCode::Good, "request {type_id}");
        reader.skip_diagnostic_info().expect("diagnostics");
        reader.count(4).expect("a string table");
        reader.extension_object().expect("a header");
        answer[reader.position()..].to_vec()
    }

    fn read(&mut self, name: &str) -> DataValue {
        let body = self.call(631, |w| {
            w.f64(0.0);
            w.i32(2);
            w.count(1);
            w.node_id(NodeIdRef::string(2, name));
            w.u32(13);
            w.string(None);
            w.qualified_name(QualifiedNameRef { namespace: 0, name: None });
        });
        let mut reader = Reader::new(&body);
        reader.count(1).expect("results");
        reader.data_value().expect("a DataValue")
    }

    /// Reads until the claim holds.
    fn until(&mut self, name: &str, what: &str, claim: impl Fn(&DataValue) -> bool) -> DataValue {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let read = self.read(name);
            if claim(&read) {
                return read;
            }
            assert!(Instant::now() < deadline, "{name} never was {what}: {read:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn until_status(&mut self, name: &str, status: StatusCode) -> DataValue {
        let is_status = |read: &DataValue| read.status.unwrap_or(StatusCode::Good) == status;
        self.until(name, &status.to_string(), is_status)
    }

    fn write(&mut self, name: &str, number: f64) -> StatusCode {
        let body = self.call(673, |w| {
            w.count(1);
            w.node_id(NodeIdRef::string(2, name));
            w.u32(13);
            w.string(None);
            w.data_value(&Value::Double(number), StatusCode::Good, None, None);
        });
        let mut reader = Reader::new(&body);
        reader.count(4).expect("results");
        reader.status().expect("a status")
    }
}

/// Runs the cell's server while `talk` talks to it.
fn with_server(cell: &str, talk: impl FnOnce(&mut Session, &Running) + Send) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("cell.yaml");
    std::fs::write(&path, cell).expect("written");
    let options = Options {
        listen: Some(vec!["127.0.0.1:0".parse().expect("an address")]),
        state_dir: Some(dir.path().join("state")),
        pki_dir: Some(dir.path().join("pki")),
        ..Options::default()
    };
    let (compiled, report) = config::load(&path, &options);
    let compiled = compiled.unwrap_or_else(|| panic!("{}", report.render(Shown::All)));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let running = runtime.block_on(assemble(compiled).start()).expect("the server starts");
    talk(&mut Session::open(&running), &running);
    runtime.block_on(running.stop("the test is over"));
}

fn findings(cell: &str) -> String {
    let mut files = config::Memory::default();
    files.files.insert("cell.yaml".into(), cell.as_bytes().to_vec());
    config::load_from(&files, Path::new("cell.yaml"), &Options::default()).1.render(Shown::All)
}

/// A gauge with the numbers 1.5 for `a`, 2.5 for `b`, and so on.
fn gauge(line: &str) -> String {
    let number = |name: &str| match name {
        "nix" => "?".to_owned(),
        name => (f64::from(name.as_bytes()[0] - b'a') + 1.5).to_string(),
    };
    match line.split_once(' ') {
        Some(("read", names)) => names.split(' ').map(number).collect::<Vec<_>>().join(" "),
        Some(("set", set)) if set.ends_with(" 7") => "ok".to_owned(),
        _ => "no".to_owned(),
    }
}

#[test]
fn a_polling_toy_is_read_and_written_and_comes_back_after_a_loss() {
    let device = Device::start("most 2", gauge);
    let cell = format!(
        "schema: 1\ncell: toys\ndefaults: {{ poll: 50ms, stale_after: 200ms, access: {{ read: [Anonymous], write: [Anonymous] }} }}\nconnections:\n  g: {{ driver: toy-gauge, port: {}, allow_write: true, reconnect_max: 1s }}\nnodes:\n  A: {{ type: Double, source: {{ address: a, write: true }} }}\n  B: {{ type: Double, source: b }}\n  C: {{ type: Double, source: c }}\n  X: {{ type: Double, source: nix }}\n",
        device.port
    );
    with_server(&cell, |session, running| {
        for (name, number) in [("A", 1.5), ("B", 2.5), ("C", 3.5)] {
            let read = session.until_status(name, StatusCode::Good);
            assert_eq!(read.value, Some(Value::Double(number)), "{name}");
        }
        session.until_status("X", StatusCode::BadConfigurationError);
        // The greeting said that two names go into one request.
        let reads = device.heard.lock().iter().filter(|line| line.starts_with("read")).cloned().collect::<Vec<_>>();
        assert!(reads.contains(&"read a b".to_owned()) && reads.contains(&"read c nix".to_owned()), "{reads:?}");
        assert_eq!((session.write("A", 7.0), session.write("A", 8.0)), (StatusCode::Good, StatusCode::BadOutOfRange));
        device.lose();
        let lost = session.until_status("A", StatusCode::BadNoCommunication);
        assert!(lost.value.is_none_or(|value| value.is_null()), "Bad has no value");
        assert_eq!(session.write("A", 7.0), StatusCode::BadNoCommunication);
        device.open();
        session.until_status("A", StatusCode::Good);
        assert_eq!(running.server.world().links[0].snapshot().state.name(), "Connected");
    });
}

/// A ticker that lets in the driver with the pin x. It accepts the number 7, and leaves 9 without an answer.
fn ticker(line: &str) -> String {
    match line {
        "hello x" => "welcome",
        line if line.starts_with("set") && line.ends_with(" 7") => "ok",
        line if line.starts_with("set") && line.ends_with(" 9") => "",
        _ => "no",
    }
    .to_owned()
}

/// A cell with one ticker, and nodes below it.
fn ticker_cell(device: &Device, more: &str, nodes: &str) -> String {
    format!(
        "schema: 1\ncell: toys\ndefaults: {{ connection: t, access: {{ read: [Anonymous], write: [Anonymous] }} }}\nconnections:\n  t: {{ driver: toy-ticker, port: {}, pin: x, allow_write: true, reconnect_max: 1s, timeout: 200ms }}\n{more}nodes:\n{nodes}",
        device.port
    )
}

const A_N_Q: &str = "  A: { type: Double, source: { address: a, write: true } }\n  N: { type: Double, source: { address: n, negate: true }, stale_after: 300ms }\n  Q: { type: Double, source: q }\n";

#[test]
fn a_pushing_toy_brings_its_own_status_and_time() {
    let device = Device::start("", ticker);
    with_server(&ticker_cell(&device, "", A_N_Q), |session, _| {
        session.until_status("A", StatusCode::BadWaitingForInitialData);
        let then = UaTime(UaTime::now().0 - 600_000_000);
        // Good with a sub-code, and a minute old: neither is lost on the way.
        device.say(&format!("a 21.5 00300000 {}", then.0));
        device.say(&format!("n 3 00000000 {}", then.0));
        let read = session.until("A", "there", |read| read.value == Some(Value::Double(21.5)));
        assert_eq!((read.status, read.source_time), (Some(StatusCode::GoodClamped), Some(then)));
        assert!(read.server_time.is_some_and(|server| server > then), "the server's time is its own");
        session.until("N", "negated", |read| read.value == Some(Value::Double(-3.0)));
        device.say(&format!("a 22 40950000 {}", then.0 + 1));
        let read = session.until_status("A", StatusCode::UncertainSubNormal);
        assert_eq!((read.value, read.source_time), (Some(Value::Double(22.0)), Some(UaTime(then.0 + 1))));
        device.say(&format!("a 23 808c0000 {}", then.0 + 2));
        let read = session.until_status("A", StatusCode::BadSensorFailure);
        assert!(read.value.is_none_or(|value| value.is_null()), "Bad has no value");
        // No value is no Uncertain value.
        device.say(&format!("a null 40950000 {}", then.0 + 3));
        let read = session.until_status("A", StatusCode::BadDataEncodingInvalid);
        assert!(read.value.is_none_or(|value| value.is_null()), "Bad has no value");
        // Silence is a fault of the tag that says so, and of no other.
        session.until_status("N", StatusCode::BadTimeout);
        device.say(&format!("q 1 00000000 {}", then.0));
        session.until_status("Q", StatusCode::Good);
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(session.read("Q").status.unwrap_or(StatusCode::Good), StatusCode::Good);
    });
}

#[test]
fn a_pushing_toy_is_written_and_comes_back_after_a_loss_a_late_answer_and_a_panic() {
    let (device, neighbour) = (Device::start("", ticker), Device::start("most 2", gauge));
    let gauge = format!("  g: {{ driver: toy-gauge, port: {} }}\n", neighbour.port);
    let nodes = format!("{A_N_Q}  G: {{ type: Double, poll: 50ms, source: {{ connection: g, address: b }} }}\n");
    with_server(&ticker_cell(&device, &gauge, &nodes), |session, running| {
        let state = || running.server.world().links[0].snapshot();
        device.say("q 1 00000000 5");
        session.until_status("Q", StatusCode::Good);
        assert_eq!((session.write("A", 7.0), session.write("A", 8.0)), (StatusCode::Good, StatusCode::BadOutOfRange));
        device.lose();
        let held = session.until_status("Q", StatusCode::UncertainLastUsableValue);
        assert_eq!(held.value, Some(Value::Double(1.0)));
        session.until_status("A", StatusCode::BadNoCommunication);
        session.until_status("Q", StatusCode::BadNoCommunication);
        assert_eq!(session.write("A", 7.0), StatusCode::BadNoCommunication);
        device.open();
        // The link is not at fault any more, and the device has not sent a value yet.
        session.until_status("Q", StatusCode::BadWaitingForInitialData);
        assert_eq!(state().state.name(), "Connected");
        device.say("q 2 00000000 9");
        session.until("Q", "back", |read| read.value == Some(Value::Double(2.0)));
        // The driver waits for an answer for ever; the supervisor doesn't.
        assert_eq!(session.write("A", 9.0), StatusCode::BadTimeout);
        assert_eq!(state().last_error, "no reply within 1200 ms");
        // The link is opened again after the back-off; until then writes are refused.
        let deadline = Instant::now() + PATIENCE;
        while session.write("A", 7.0) != StatusCode::Good {
            assert!(Instant::now() < deadline, "the link is opened again");
        }
        // A bug of the driver ends this link alone, and the supervisor opens it again.
        session.until_status("G", StatusCode::Good);
        device.say("panic");
        session.until_status("Q", StatusCode::BadInternalError);
        assert_eq!(session.read("G").status.unwrap_or(StatusCode::Good), StatusCode::Good);
        session.until_status("Q", StatusCode::BadWaitingForInitialData);
        device.say("q 3 00000000 10");
        session.until("Q", "back", |read| read.value == Some(Value::Double(3.0)));
    });
}

#[test]
fn a_burst_keeps_the_newest_sample_of_each_tag_and_counts_those_that_it_drops() {
    const OVERFLOW: u32 = 0x0480;
    let device = Device::start("", ticker);
    with_server(&ticker_cell(&device, "", A_N_Q), |session, running| {
        session.until_status("A", StatusCode::BadWaitingForInitialData);
        device.say("q 1 00000000 5");
        device.say("burst a 5000");
        let last = session.until("A", "newest", |read| read.value == Some(Value::Double(4_999.0)));
        assert_eq!(last.status.unwrap_or(StatusCode::Good), StatusCode::Good, "nothing is missing before this one");
        assert_eq!(session.read("Q").value, Some(Value::Double(1.0)), "a neighbour keeps its only sample");
        let dropped = running.server.world().links[0].snapshot().dropped;
        assert!((3_976..=3_977).contains(&dropped), "{dropped}");
        // Of two samples the older one goes when a neighbour fills the feed, and the newer one has the Overflow bit.
        device.say("burst q 3\nburst a 5000");
        let read = session.until("Q", "newest", |read| read.value == Some(Value::Double(2.0)));
        assert_eq!(read.status.unwrap_or(StatusCode::Good).bits(), OVERFLOW);
    });
}

#[test]
fn refused_credentials_are_said_of_each_tag() {
    let device = Device::start("", |_| "go away".to_owned());
    let cell = format!(
        "schema: 1\ncell: toys\ndefaults: {{ access: {{ read: [Anonymous] }} }}\nconnections:\n  t: {{ driver: toy-ticker, port: {} }}\nnodes:\n  A: {{ type: Double, source: a }}\n",
        device.port
    );
    with_server(&cell, |session, running| {
        session.until_status("A", StatusCode::BadUserAccessDenied);
        let error = running.server.world().links[0].snapshot().last_error;
        assert_eq!(error, "the ticker answers `go away`; check `pin`");
    });
}

#[test]
fn keys_belong_to_the_driver_of_the_connection_whatever_its_structs_are_called() {
    let cell = |connection: &str, tag: &str| {
        format!(
            "schema: 1\ncell: toys\nconnections:\n  c: {{ {connection} }}\nnodes:\n  A: {{ type: Double, {tag} }}\n"
        )
    };
    let ticker = "driver: toy-ticker, port: 5000";
    assert_eq!(findings(&cell(ticker, "source: { address: a, negate: true }")), "");
    assert_eq!(findings(&cell("driver: simulator, seed: 7", "source: ramp()")), "");
    for (cell, wanted) in [
        // `Settings` of the simulator, of the gauge and of the ticker are three structs.
        (cell("driver: simulator, port: 5000", "source: ramp()"), "`port` is a key of `modbus-tcp`; delete it here"),
        (
            cell("driver: toy-ticker, port: 5000, seed: 7", "source: a"),
            "`seed` is a key of `simulator`; delete it here",
        ),
        (cell("driver: toy-gauge, port: 5000, pin: x", "source: a"), "`pin` is a key of `toy-ticker`; delete"),
        (cell("driver: toy-gauge, port: 99999", "source: a"), "99999 is out of range 1..65535"),
        // And so are `RegisterPoint` of Modbus and of the ticker.
        (cell(ticker, "source: { address: a, raw_type: int16 }"), "unknown key `raw_type`"),
        (cell("driver: modbus-tcp, host: h", "source: { address: holding/1, negate: true }"), "unknown key `negate`"),
        (cell(ticker, "source: { address: a, poll: 1s }"), "driver `toy-ticker` is not polled"),
        (
            cell(ticker, "source: { address: a, write: true, write_every: 5s }"),
            "driver `toy-ticker` does not repeat writes",
        ),
        (cell(ticker, "source: { address: a b, write_every: 5s }"), "`a b` is not a name"),
        (cell(ticker, "source: { address: a b }"), "`a b` is not a name"),
        (cell("driver: toy-tiker, port: 5000", "source: a"), "did you mean `toy-ticker`?"),
    ] {
        let found = findings(&cell);
        assert!(found.contains(wanted), "{wanted} is not in:\n{found}");
    }
    let schema = config::schema(config::Which::Cell);
    let keys = |driver: &str| {
        let definition = &schema["$defs"][format!("Connection, driver {driver}")]["properties"];
        (definition["seed"].is_object(), definition["pin"].is_object(), definition["port"].is_object())
    };
    assert_eq!(
        [keys("simulator"), keys("toy-gauge"), keys("toy-ticker")],
        [(true, false, false), (false, false, true), (false, true, true)]
    );
}

#[test]
fn plans_of_connections_are_equal_when_their_drivers_and_keys_are() {
    let plan = |connection: &str, source: &str| {
        let cell = format!(
            "schema: 1\ncell: toys\nconnections:\n  c: {{ {connection} }}\nnodes:\n  A: {{ type: Double, source: {source} }}\n"
        );
        let mut files = config::Memory::default();
        files.files.insert("cell.yaml".into(), cell.into_bytes());
        let (compiled, report) = config::load_from(&files, Path::new("cell.yaml"), &Options::default());
        compiled.unwrap_or_else(|| panic!("{}", report.render(Shown::All))).drivers.remove(0)
    };
    let (ticker, a) = ("driver: toy-ticker, port: 5000", "a");
    assert_eq!(plan(ticker, a), plan(ticker, a));
    assert_ne!(plan(ticker, a), plan("driver: toy-ticker, port: 5001", a));
    assert_ne!(plan(ticker, a), plan("driver: toy-gauge, port: 5000", a));
    assert_ne!(plan(ticker, a), plan(ticker, "{ address: a, negate: true }"));
    assert_ne!(PointSettings::of(drivers::NoKeys {}), PointSettings::of(drivers::modbus::RegisterPoint::default()));
}

#[tokio::test]
async fn probe_goes_through_the_driver_and_is_refused_where_it_has_none() {
    let device = Device::start("most 2", gauge);
    let cell = format!(
        "schema: 1\ncell: toys\nconnections:\n  g: {{ driver: toy-gauge, port: {} }}\n  s: {{ driver: simulator }}\nnodes:\n  A: {{ type: Double, connection: g, source: a }}\n",
        device.port
    );
    let mut files = config::Memory::default();
    files.files.insert("cell.yaml".into(), cell.into_bytes());
    let compiled = config::load_from(&files, Path::new("cell.yaml"), &Options::default()).0.expect("a good cell");
    let lines = drivers::probe(&compiled.drivers[0], "b").await.expect("an answer");
    assert_eq!(lines[0].value, "2.5");
    let refused = drivers::probe(&compiled.drivers[1], "ramp()").await.expect_err("nothing to look at");
    assert_eq!(refused.to_string(), "driver `simulator` does not offer `probe`");
}
