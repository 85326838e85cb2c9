//! The orderly ends of the server: outputs are left as `on_stop` says, whatever ends it, or the log and the audit name
//! each one that was not written.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use opcell::testing::stack::codec::NodeIdRef;
use opcell::value::Value;
use opcua::StatusCode;
use tempfile::TempDir;

use testkit::program::{Serving, folder, opcell};
use testkit::ua::Session;
use testkit::until;

/// A Modbus TCP device with 16 coils.
struct Device {
    port: u16,
    coils: Mutex<[bool; 16]>,
    streams: Mutex<Vec<TcpStream>>,
    /// Connections are closed at once, and nothing is answered.
    is_dead: AtomicBool,
    /// Requests are read and never answered.
    is_silent: AtomicBool,
    /// Each answer takes nearly as long as the time-out.
    is_slow: AtomicBool,
}

impl Device {
    fn start() -> Arc<Device> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let device = Arc::new(Device {
            port: listener.local_addr().expect("an address").port(),
            coils: Mutex::new([false; 16]),
            streams: Mutex::default(),
            is_dead: AtomicBool::new(false),
            is_silent: AtomicBool::new(false),
            is_slow: AtomicBool::new(false),
        });
        let serving = Arc::clone(&device);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.is_dead.load(Ordering::SeqCst) {
                    continue;
                }
                serving.streams.lock().expect("no panic").push(stream.try_clone().expect("a handle"));
                let device = Arc::clone(&serving);
                std::thread::spawn(move || device.serve(stream));
            }
        });
        device
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut request = [0; 12];
        while stream.read_exact(&mut request).is_ok() {
            if self.is_silent.load(Ordering::SeqCst) {
                continue;
            }
            if self.is_slow.load(Ordering::SeqCst) {
                std::thread::sleep(std::time::Duration::from_millis(800));
            }
            let start = usize::from(request[9]);
            let mut coils = self.coils.lock().expect("no panic");
            let body = match request[7] {
                5 => {
                    coils[start] = request[10] == 0xff;
                    request[7..12].to_vec()
                }
                function => {
                    let count = usize::from(request[11]);
                    let bytes = coils[start..start + count].chunks(8);
                    let bytes = bytes.map(|bits| bits.iter().rev().fold(0, |byte, on| byte << 1 | u8::from(*on)));
                    let bytes: Vec<u8> = bytes.collect();
                    [vec![function, u8::try_from(bytes.len()).expect("few")], bytes].concat()
                }
            };
            let mut reply = request[..4].to_vec();
            reply.extend([0, u8::try_from(body.len() + 1).expect("short"), request[6]]);
            reply.extend(body);
            if stream.write_all(&reply).is_err() {
                return;
            }
        }
    }

    fn cut(&self) {
        for stream in self.streams.lock().expect("no panic").drain(..) {
            // The peer may have gone already.
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    fn die(&self) {
        self.is_dead.store(true, Ordering::SeqCst);
        self.cut();
    }

    fn coil(&self, at: usize) -> bool {
        self.coils.lock().expect("no panic")[at]
    }
}

fn cell(devices: &[&Device], poll: &str) -> String {
    let mut text = "schema: 1\ncell: press\nnamespace: urn:test:press\nconnections:\n".to_owned();
    for (n, device) in devices.iter().enumerate() {
        let port = device.port;
        text += &format!("  plc{n}: {{ driver: modbus-tcp, host: 127.0.0.1, port: {port}, allow_write: true }}\n");
    }
    text += &format!("defaults: {{ poll: {poll} }}\nnodes:\n");
    for n in 0..devices.len() {
        text += &format!(
            "  Motor{n}: {{ type: Boolean, source: {{ connection: plc{n}, address: coil/1, write: true, on_stop: false }} }}\n  \
               Lamp{n}: {{ type: Boolean, source: {{ connection: plc{n}, address: coil/9, write: true, on_stop: true }} }}\n"
        );
    }
    text
}

fn plant(devices: &[&Device], poll: &str) -> TempDir {
    let server =
        "schema: 1\ncells: [cell.yaml]\nanonymous: [Observer, Operator]\nsecurity: { allow_unsecured: true }\n";
    folder(&[("cell.yaml", &cell(devices, poll)), ("server.yaml", server)])
}

/// Switches the motors on; they are on when this returns.
fn switch_on(address: std::net::SocketAddr, devices: &[&Device]) {
    let mut client = Session::open(address);
    for (n, device) in devices.iter().enumerate() {
        let path = format!("Motor{n}");
        until("the motor is on", || {
            (client.write(NodeIdRef::string(2, &path), &Value::Boolean(true)) == StatusCode::Good).then_some(())
        });
        assert!(device.coil(1));
    }
    client.close();
}

fn audited(folder: &Path) -> Vec<String> {
    let said = opcell(folder, &["audit", "show", "server.yaml"], "");
    said.out.lines().filter(|line| line.contains("output.written")).map(str::to_owned).collect()
}

#[test]
fn every_orderly_end_leaves_outputs_as_on_stop_says() {
    for signal in ["TERM", "INT", "QUIT", "PWR"] {
        let device = Device::start();
        let dir = plant(&[&device], "100ms");
        let server = Serving::logging(dir.path(), "info");
        switch_on(server.address, &[&device]);
        let log = server.end_by(signal);
        assert!(!device.coil(1) && device.coil(9), "{signal}: {log}");
        let audited = audited(dir.path());
        assert_eq!(audited.len(), 2, "{signal}: {audited:#?}");
        for (line, what) in audited.iter().zip(["Motor0", "Lamp0"]) {
            assert!(line.contains(what) && line.contains("was written"), "{signal}: {line}");
        }
        assert!(!log.contains("ERROR"), "{signal}: {log}");
    }
}

#[test]
fn clients_see_the_values_that_the_devices_are_left_with() {
    let device = Device::start();
    // The next poll is far away.
    let dir = plant(&[&device], "1h");
    let server = Serving::logging(dir.path(), "info");
    switch_on(server.address, &[&device]);
    let mut client = Session::open(server.address);
    let subscription = client.subscribe(20.0, 10_000, 1_000);
    client.monitor(subscription, &[(NodeIdRef::string(2, "Motor0"), 1)], 0.0, 10);
    assert_eq!(client.next_data().data[0].1.value, Some(Value::Boolean(true)));
    (0..5).for_each(|_| client.ask_publish(&[]));
    server.signal("TERM");
    let mut last = None;
    while last != Some(Value::Boolean(false)) {
        let publication = client.published().expect("a message before the connection ends");
        client.ask_publish(&[(publication.subscription, publication.sequence)]);
        last = publication.data.last().and_then(|(_, value)| value.value.clone()).or(last);
    }
    assert!(!device.coil(1));
}

#[test]
fn other_signals_end_nothing() {
    let device = Device::start();
    let dir = plant(&[&device], "100ms");
    let server = Serving::logging(dir.path(), "info");
    switch_on(server.address, &[&device]);
    for signal in ["HUP", "USR1", "USR2", "ALRM", "IO", "XFSZ"] {
        server.signal(signal);
        until("the log names the signal", || server.log().contains(&format!("SIG{signal}")).then_some(()));
        let mut client = Session::open(server.address);
        assert_eq!(client.read_value(NodeIdRef::numeric(0, 2259)).value, Some(Value::Int32(0)), "{signal}");
        client.close();
        assert!(device.coil(1), "{signal}");
    }
    until("the files are read again", || server.log().contains("reload.unchanged").then_some(()));
    server.end();
    assert!(!device.coil(1));
}

#[test]
fn a_hangup_during_the_start_is_remembered() {
    let device = Device::start();
    let dir = plant(&[&device], "100ms");
    for _ in 0..5 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_opcell"))
            .args(["run", "server.yaml", "--listen", "127.0.0.1:0"])
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("opcell starts");
        // The handler comes first: as soon as the kernel says that the signal is caught, it may be sent.
        let status = format!("/proc/{}/status", child.id());
        until("SIGHUP is caught", || {
            let text = std::fs::read_to_string(&status).ok()?;
            let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.trim().to_owned();
            (u64::from_str_radix(&caught, 16).ok()? & 1 == 1).then_some(())
        });
        kill(child.id(), "HUP");
        let mut out = std::io::BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        while !line.contains("endpoint") {
            line.clear();
            assert!(std::io::BufRead::read_line(&mut out, &mut line).expect("text") > 0, "the server ended");
        }
        until("the files were read again", || {
            let said = opcell(dir.path(), &["status", "server.yaml", "--json"], "");
            said.out.contains("\"result\": \"unchanged\"").then_some(())
        });
        kill(child.id(), "TERM");
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
    }
}

fn kill(process: u32, signal: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &process.to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

/// The program in a terminal of its own, by this shell command. SIGHUP has its default action, also when the
/// tests themselves run under `nohup`.
struct InTerminal {
    terminal: std::process::Child,
    process: String,
    address: std::net::SocketAddr,
}

impl InTerminal {
    fn start(dir: &Path, before: &str, streams: &str) -> InTerminal {
        let program = env!("CARGO_BIN_EXE_opcell");
        let command = format!(
            "echo $$ >pid; exec env --default-signal=HUP {before} {program} run server.yaml --listen 127.0.0.1:0 >out {streams}"
        );
        // The terminal closes when `script` is killed.
        let terminal = Command::new("script")
            .args(["-qefc", &command, "/dev/null"])
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("script starts");
        let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
        let address = until("it listens", || {
            let out = read("out");
            out.lines().find_map(|line| line.strip_prefix("endpoint")?.trim().strip_prefix("opc.tcp://")?.parse().ok())
        });
        InTerminal { terminal, process: read("pid").trim().to_owned(), address }
    }

    fn hang_up(&mut self) {
        self.terminal.kill().expect("it lives");
        self.terminal.wait().expect("it ends");
    }

    fn is_running(&self) -> bool {
        Path::new("/proc").join(&self.process).join("exe").exists()
    }

    fn serves(&self) -> bool {
        let mut client = Session::open(self.address);
        let state = client.read_value(NodeIdRef::numeric(0, 2259)).value;
        client.close();
        state == Some(Value::Int32(0))
    }
}

#[test]
fn a_closed_terminal_is_an_orderly_end() {
    for streams in ["", "</dev/null 2>err"] {
        let device = Device::start();
        let dir = plant(&[&device], "100ms");
        let mut program = InTerminal::start(dir.path(), "", streams);
        switch_on(program.address, &[&device]);
        kill(program.process.parse().expect("a process id"), "HUP");
        assert!(program.serves(), "the terminal lives");
        program.hang_up();
        let log = || std::fs::read_to_string(dir.path().join("err")).unwrap_or_default();
        until("the server ends", || {
            (!program.is_running()).then_some(()).ok_or_else(|| format!("streams {streams:?}; its log: {}", log()))
        });
        assert!(!device.coil(1) && device.coil(9));
        assert_eq!(audited(dir.path()).len(), 2);
        let said = opcell(dir.path(), &["audit", "show", "server.yaml"], "");
        assert!(said.out.contains("its terminal was closed"), "{}", said.out);
    }
}

#[test]
fn a_program_that_ignores_hangups_outlives_its_terminal() {
    let device = Device::start();
    let dir = plant(&[&device], "100ms");
    let mut program = InTerminal::start(dir.path(), "nohup", "</dev/null 2>err");
    switch_on(program.address, &[&device]);
    program.hang_up();
    kill(program.process.parse().expect("a process id"), "HUP");
    until("the log has the hangup", || {
        std::fs::read_to_string(dir.path().join("err")).ok()?.contains("SIGHUP").then_some(())
    });
    assert!(program.serves() && device.coil(1));
    kill(program.process.parse().expect("a process id"), "TERM");
    until("the server ends", || (!program.is_running()).then_some(()));
    assert!(!device.coil(1));
}

#[test]
fn outputs_of_devices_that_answer_do_not_wait_for_one_that_is_silent() {
    let (silent, slow) = (Device::start(), Device::start());
    let devices = [&*silent, &slow];
    let dir = plant(&devices, "100ms");
    // Both devices behind one gateway would share a link; here each output of the slow one takes its time.
    let server = Serving::logging(dir.path(), "info");
    switch_on(server.address, &devices);
    silent.is_silent.store(true, Ordering::SeqCst);
    slow.is_slow.store(true, Ordering::SeqCst);
    let log = server.end();
    assert!(!slow.coil(1) && slow.coil(9), "{log}");
    assert!(silent.coil(1));
}

#[test]
fn an_output_is_written_over_a_connection_that_the_device_closed() {
    let device = Device::start();
    // Nothing is polled for a long time, so that nobody notices that the connection is gone.
    let dir = plant(&[&device], "1h");
    let server = Serving::logging(dir.path(), "info");
    switch_on(server.address, &[&device]);
    device.cut();
    let log = server.end();
    assert!(!device.coil(1) && device.coil(9), "{log}");
    assert_eq!(audited(dir.path()).len(), 2);
}

#[test]
fn each_output_that_was_not_written_is_an_error_with_its_name() {
    let (alive, dead, silent) = (Device::start(), Device::start(), Device::start());
    let devices = [&*alive, &dead, &silent];
    let dir = plant(&devices, "100ms");
    let server = Serving::logging(dir.path(), "info");
    switch_on(server.address, &devices);
    dead.die();
    silent.is_silent.store(true, Ordering::SeqCst);
    let log = server.end();
    assert!(!alive.coil(1) && alive.coil(9), "{log}");
    assert!(dead.coil(1) && silent.coil(1));
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    for tag in ["Motor1", "Lamp1", "Motor2", "Lamp2"] {
        let lines: Vec<_> = errors.iter().filter(|line| line.contains(tag)).collect();
        assert!(matches!(lines[..], [line] if line.contains("was not written")), "{tag}: {log}");
    }
    assert_eq!(errors.len(), 4, "{log}");
    let audited = audited(dir.path());
    assert_eq!(audited.len(), 6, "{audited:#?}");
    assert_eq!(audited.iter().filter(|line| line.contains("was not written")).count(), 4, "{audited:#?}");
}
