//! History of a device that sends by itself.

use super::{Device, with_server};
use crate::history::{Direction, Span};
use crate::model::TagId;
use crate::value::{Sample, UaTime};

const MINUTE: i64 = 60 * 10_000_000;

/// The Good samples that the archive of this tag holds.
fn recorded(running: &super::Running, tag: TagId) -> Vec<Sample> {
    let world = running.server.world();
    let archives = world.archives.as_ref().expect("the cell has history");
    archives.historian.commit().expect("committed");
    let (_, archive) = archives.tags().find(|(known, _)| *known == tag).expect("the tag has an archive");
    let page = archives.historian.page(archive, Span::ALL, Direction::Forward, 1_000, None).expect("a page");
    page.samples.into_iter().filter(|sample| sample.status.is_good()).collect()
}

/// The clock of the device is a minute slow, or a minute fast: its history has the device's times only. `B` is a memory
/// tag; it is recorded each second, so its samples show that the sweep over quiet tags ran meanwhile.
#[test]
fn history_of_a_pushing_device_holds_only_what_the_device_sent() {
    for off in [-MINUTE, MINUTE] {
        let device = Device::start("", |line| if line.starts_with("hello") { "welcome" } else { "no" }.to_owned());
        let cell = format!(
            "
schema: 1
cell: toys
defaults: {{ access: {{ read: [Anonymous], write: [Anonymous] }} }}
connections:
  t: {{ driver: toy-ticker, port: {}, reconnect_max: 1s }}
history:
  own: {{ keep: 1d, max_interval: 1s }}
nodes:
  A: {{ type: Double, source: a, history: own }}
  B: {{ type: Double, value: 1, write: true, history: own }}
",
            device.port
        );
        with_server(&cell, |session, running| {
            let mut sent = Vec::new();
            for n in 0..3 {
                let time = UaTime::now().0 + off;
                sent.push(time);
                device.say(&format!("a {n} 00000000 {time}"));
                session.until("A", "there", |read| read.source_time == Some(UaTime(time)));
            }
            wait(|| recorded(running, TagId(1)).len() >= 3);
            let times: Vec<i64> = recorded(running, TagId(0)).iter().map(|sample| sample.source_time.0).collect();
            assert!(!times.is_empty());
            let invented: Vec<&i64> = times.iter().filter(|time| !sent.contains(time)).collect();
            assert!(invented.is_empty(), "clock {off}: {} samples at times that the device never sent", invented.len());
        });
    }
}

fn wait(is_so: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !is_so() {
        assert!(began.elapsed() < super::PATIENCE, "the memory tag is recorded each second");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
