//! Mosquitto, and its clients as devices of other people.

use std::collections::VecDeque;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::peers::{self, Peer};
use crate::until;

/// A broker on a port of its own, ended with the test.
pub struct Broker {
    peer: Option<Peer>,
    pub port: u16,
    folder: PathBuf,
    tls: Vec<String>,
}

/// A Debian program that is in /usr/sbin, which is not on the path of every user.
fn program(name: &str) -> Command {
    let found = ["/usr/sbin", "/usr/local/sbin"].map(|folder| Path::new(folder).join(name));
    let found = found.into_iter().find(|path| path.exists());
    Command::new(found.unwrap_or_else(|| PathBuf::from(name)))
}

impl Broker {
    /// An open broker.
    pub fn open(folder: &Path) -> Option<Broker> {
        Broker::with(folder, "allow_anonymous true\n")
    }

    /// A broker with these lines in its file, after that of the listener. `{folder}` is the folder.
    pub fn with(folder: &Path, lines: &str) -> Option<Broker> {
        let port = peers::free_port();
        let lines = lines.replace("{folder}", &folder.display().to_string());
        // Mosquitto limits how many messages wait for a client; a test that asks for thousands means all of them.
        let user = if is_root() { "user root\n" } else { "" };
        let file = format!("listener {port} 127.0.0.1\nmax_queued_messages 0\npersistence false\n{user}{lines}");
        std::fs::write(folder.join("mosquitto.conf"), file).expect("written");
        let mut broker = Broker { peer: None, port, folder: folder.to_owned(), tls: Vec::new() };
        broker.start().then_some(broker)
    }

    /// Clients of this test speak TLS with this authority.
    #[must_use]
    pub fn by_tls(mut self, arguments: &[&str]) -> Broker {
        self.tls = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self
    }

    /// Starts it, again on the same port; false when it is not installed.
    pub fn start(&mut self) -> bool {
        let log = std::fs::File::create(self.folder.join("mosquitto.log")).expect("created");
        let mut command = program("mosquitto");
        command.arg("-c").arg(self.folder.join("mosquitto.conf")).stdout(Stdio::null()).stderr(log);
        let Some(child) = peers::spawned(&mut command, "mosquitto", "apt-get install mosquitto") else { return false };
        self.peer = Some(Peer(child));
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        until("mosquitto listens", || TcpStream::connect(address).is_ok());
        true
    }

    /// Ends it: clients see that at once.
    pub fn stop(&mut self) {
        self.peer = None;
    }

    /// Sends a signal to the broker, as -STOP to freeze it.
    pub fn signal(&self, name: &str) {
        self.peer.as_ref().expect("it runs").signal(name);
    }

    fn client(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]).args(&self.tls).args(arguments);
        command
    }

    /// A message of `mosquitto_pub`, when it has been sent.
    pub fn publish(&self, topic: &str, message: &str, more: &[&str]) {
        let content = if message.is_empty() { vec!["-n"] } else { vec!["-m", message] };
        let arguments = [&["-q", "1", "-t", topic], &content[..], more].concat();
        let status = self.client("mosquitto_pub", &arguments).status().expect("mosquitto_pub runs");
        assert!(status.success(), "{topic}: {message}");
    }

    /// A retained message.
    pub fn retain(&self, topic: &str, message: &str) {
        self.publish(topic, message, &["-r"]);
    }

    /// The content of a file as a message.
    pub fn publish_file(&self, topic: &str, file: &Path) {
        let file = file.display().to_string();
        let status = self.client("mosquitto_pub", &["-q", "1", "-t", topic, "-f", &file]).status();
        assert!(status.expect("mosquitto_pub runs").success());
    }

    /// A message for each line, from a process of its own; joined when all are sent.
    pub fn publish_lines(&self, topic: &str, lines: &str) -> std::thread::JoinHandle<()> {
        let arguments = ["-q", "1", "-t", topic, "-l"];
        let mut child =
            self.client("mosquitto_pub", &arguments).stdin(Stdio::piped()).spawn().expect("mosquitto_pub runs");
        let (mut input, lines) = (child.stdin.take().expect("piped"), lines.to_owned());
        std::thread::spawn(move || {
            input.write_all(lines.as_bytes()).expect("it reads");
            drop(input);
            assert!(child.wait().expect("it ends").success());
        })
    }

    /// A device that prints what is sent to these topics; it has subscribed to them when this returns.
    pub fn listen(&self, topics: &[&str]) -> Listening {
        let ready = format!("ready/{}", self.port);
        self.retain(&ready, "yes");
        let filters = topics.iter().flat_map(|topic| ["-t", *topic]);
        let arguments: Vec<&str> = ["-q", "1", "-v"].into_iter().chain(filters).chain(["-t", &ready]).collect();
        let mut command = self.client("mosquitto_sub", &arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("mosquitto_sub runs");
        let lines = Lines::of(&mut child);
        let ready = format!("{ready} yes");
        let mut listening = Listening { _peer: Peer(child), lines, early: VecDeque::new(), ready: ready.clone() };
        loop {
            let line = listening.lines.line();
            if line == ready {
                return listening;
            }
            listening.early.push_back(line);
        }
    }
}

/// A subscriber of another program.
pub struct Listening {
    _peer: Peer,
    lines: Lines,
    /// Retained messages that came before it was ready.
    early: VecDeque<String>,
    /// Other listeners send it, too.
    ready: String,
}

/// Lines that a process prints.
pub struct Lines(std::sync::mpsc::Receiver<String>);

impl Lines {
    pub fn of(child: &mut Child) -> Lines {
        use std::io::{BufRead, BufReader};
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
        });
        Lines(receiver)
    }

    /// The next line.
    pub fn line(&mut self) -> String {
        self.0.recv_timeout(std::time::Duration::from_secs(10)).expect("a line in time")
    }
}

impl Listening {
    /// The next message, as `topic content`.
    pub fn message(&mut self) -> String {
        loop {
            let line = self.early.pop_front().unwrap_or_else(|| self.lines.line());
            if line != self.ready {
                return line;
            }
        }
    }
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.starts_with(b"0\n"))
}
