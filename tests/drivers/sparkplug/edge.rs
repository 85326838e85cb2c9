//! Payloads of an edge node, and a broker that is one.

use std::path::Path;
use std::sync::{Arc, Mutex};

use testkit::plant::Bench;
use testkit::until::until_async;

use crate::mqtt::fake::{Fake, message, right};

/// The content of a metric.
#[derive(Clone, Copy)]
pub(crate) enum Is<'a> {
    Int(u64),
    Long(u64),
    Double(f64),
    Boolean(bool),
    Text(&'a str),
    Null,
}

/// A metric as an edge node sends it.
#[derive(Clone, Copy)]
pub(crate) struct M<'a> {
    pub name: &'a str,
    pub alias: u64,
    pub kind: u64,
    pub is: Is<'a>,
    pub quality: Option<u64>,
    /// A value of the past: as many seconds before `TIME`.
    pub past: Option<u64>,
}

pub(crate) fn m<'a>(name: &'a str, alias: u64, kind: u64, is: Is<'a>) -> M<'a> {
    M { name, alias, kind, is, quality: None, past: None }
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(u8::try_from(number & 0x7f).expect("seven bits") | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).expect("seven bits"));
}

fn number(out: &mut Vec<u8>, field: u64, number: u64) {
    varint(out, field << 3);
    varint(out, number);
}

fn bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The time of all values and messages, in milliseconds since 1970.
pub(crate) const TIME: u64 = 1_767_323_045_000;

fn metric(metric: &M<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    if !metric.name.is_empty() {
        bytes(&mut out, 1, metric.name.as_bytes());
    }
    if metric.alias > 0 {
        number(&mut out, 2, metric.alias);
    }
    number(&mut out, 3, TIME - metric.past.unwrap_or(0) * 1_000);
    if metric.kind > 0 {
        number(&mut out, 4, metric.kind);
    }
    if metric.past.is_some() {
        number(&mut out, 5, 1);
    }
    if let Some(quality) = metric.quality {
        let (mut value, mut set) = (Vec::new(), Vec::new());
        number(&mut value, 1, 3);
        number(&mut value, 3, quality);
        bytes(&mut set, 1, b"Quality");
        bytes(&mut set, 2, &value);
        bytes(&mut out, 9, &set);
    }
    match metric.is {
        Is::Int(value) => number(&mut out, 10, value),
        Is::Long(value) => number(&mut out, 11, value),
        Is::Double(value) => {
            varint(&mut out, 13 << 3 | 1);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Is::Boolean(on) => number(&mut out, 14, on.into()),
        Is::Text(text) => bytes(&mut out, 15, text.as_bytes()),
        Is::Null => number(&mut out, 7, 1),
    }
    out
}

/// A payload; without `seq` it is that of a death.
pub(crate) fn payload(seq: Option<u64>, metrics: &[M<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    number(&mut out, 1, TIME);
    metrics.iter().for_each(|one| bytes(&mut out, 2, &metric(one)));
    if let Some(seq) = seq {
        number(&mut out, 3, seq);
    }
    out
}

/// Messages of the host: topic and payload.
type Said = Vec<(String, Vec<u8>)>;

/// A broker that an edge node speaks through.
pub(crate) struct Edge {
    pub fake: Fake,
    said: Arc<Mutex<Said>>,
}

impl Edge {
    pub(crate) fn start() -> Edge {
        let said: Arc<Mutex<Said>> = Arc::default();
        let kept = Arc::clone(&said);
        let fake = Fake::start(move |first, body| {
            if first >> 4 == 3 {
                let end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                let start = if first & 6 > 0 { end + 2 } else { end };
                let topic = String::from_utf8_lossy(&body[2..end]).into_owned();
                kept.lock().expect("no panic").push((topic, body[start..].to_vec()));
            }
            right(first, body)
        });
        Edge { fake, said }
    }

    pub(crate) fn send(&self, kind: &str, of: &str, payload: &[u8]) {
        self.fake.send(&message(&format!("spBv1.0/Plant1/{kind}/{of}"), payload));
    }

    pub(crate) fn birth(&self, bd_seq: u64, seq: u64, more: &[M<'_>]) {
        let all = [&[m("bdSeq", 0, 4, Is::Long(bd_seq))], more].concat();
        self.send("NBIRTH", "Line3", &payload(Some(seq), &all));
    }

    pub(crate) fn death(&self, bd_seq: u64) {
        self.send("NDEATH", "Line3", &payload(None, &[m("bdSeq", 0, 4, Is::Long(bd_seq))]));
    }

    /// Messages of the host on a topic so far.
    pub(crate) fn said(&self, topic: &str) -> Vec<Vec<u8>> {
        let said = self.said.lock().expect("no panic");
        said.iter().filter(|(of, _)| of == topic).map(|(_, payload)| payload.clone()).collect()
    }

    pub(crate) fn rebirths(&self) -> usize {
        self.said("spBv1.0/Plant1/NCMD/Line3").len()
    }

    pub(crate) async fn until_rebirths(&self, count: usize) {
        until_async(&format!("{count} requests for a rebirth"), || (self.rebirths() >= count).then_some(())).await;
    }

    pub(crate) async fn cell(&self, folder: &Path, keys: &str, nodes: &str) -> Bench {
        let bench = cell(folder, self.fake.port, keys, nodes);
        until_async("a subscription comes", || (self.fake.subscriptions() > 0).then_some(())).await;
        bench
    }
}

pub(crate) fn cell(folder: &Path, port: u16, keys: &str, nodes: &str) -> Bench {
    Bench::of_file(&write_cell(folder, port, keys, nodes))
}

pub(crate) fn write_cell(folder: &Path, port: u16, keys: &str, nodes: &str) -> std::path::PathBuf {
    let text = format!(
        "schema: 1\ncell: press\nconnections:\n  spb: {{ driver: sparkplug, url: \"mqtt://127.0.0.1:{port}\", allow_write: true, reconnect_max: 200ms{keys} }}\ndefaults: {{ connection: spb }}\n{nodes}"
    );
    let file = folder.join("cell.yaml");
    std::fs::write(&file, text).expect("written");
    file
}
