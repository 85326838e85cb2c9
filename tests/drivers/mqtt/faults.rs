//! Brokers that are away, freeze, refuse, and send nonsense.

use std::collections::HashMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opcell::testing::model::TagId;
use opcell::testing::tags::{Watch, Watcher};
use opcell::value::{Moment, Sample, Value};
use opcua::StatusCode;
use testkit::broker::Broker;
use testkit::until;
use testkit::until::until_async;

use super::bench::{Seen, bad, cell, good, listening};
use super::fake::{Fake, filters, message, numbered, packet, right};

const TWO: &str = "nodes:\n  Ready: { type: String, source: ready }\n  A: { type: Double, source: a }\n";

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_come_back_with_the_broker() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(mut broker) = Broker::open(folder.path()) else { return };
    broker.stop();
    let bench = cell(folder.path(), broker.port, "", TWO);
    // Absent at start.
    bad(&bench, 1, StatusCode::BadNotConnected).await;
    for round in 0..3 {
        assert!(broker.start());
        listening(&broker, &bench, 0, "ready", &round.to_string()).await;
        broker.publish("a", &round.to_string(), &[]);
        good(&bench, 1, Value::Double(round.into())).await;
        broker.stop();
        bench.until_status(1, StatusCode::BadNoCommunication).await;
        assert_eq!(bench.sample(1).value, Value::Null);
    }
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_freezes_is_found_out_and_one_that_goes_on_is_used_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let keys = ", keep_alive: 1s, timeout: 300ms";
    let bench = cell(folder.path(), broker.port, keys, TWO);
    listening(&broker, &bench, 0, "ready", "yes").await;
    broker.publish("a", "1", &[]);
    good(&bench, 1, Value::Double(1.0)).await;
    broker.signal("-STOP");
    bench.until(1, "not Good", |sample| !sample.status.is_good()).await;
    broker.signal("-CONT");
    listening(&broker, &bench, 0, "ready", "again").await;
    broker.publish("a", "2", &[]);
    good(&bench, 1, Value::Double(2.0)).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_refuses_the_credentials_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("passwords").display().to_string();
    let made = Command::new("mosquitto_passwd").args(["-b", "-c", &file, "opcell", "right"]).status();
    if !made.is_ok_and(|status| status.success()) {
        return;
    }
    let lines = "allow_anonymous false\npassword_file {folder}/passwords\n";
    let Some(broker) = Broker::with(folder.path(), lines) else { return };
    std::fs::write(folder.path().join("secret"), "wrong").expect("written");
    for (version, why) in [("3.1.1", "not authorized"), ("5", "not authorized")] {
        let keys = format!(", user: opcell, password: \"${{file:secret}}\", version: {version}");
        std::fs::write(folder.path().join("secret"), "wrong").expect("written");
        let bench = cell(folder.path(), broker.port, &keys, TWO);
        bench.until_status(1, StatusCode::BadUserAccessDenied).await;
        let error = bench.links[0].snapshot().last_error;
        assert_eq!(error, format!("the broker refuses user \"opcell\" ({why})"), "version {version}");
        bench.stop().await;
        std::fs::write(folder.path().join("secret"), "right").expect("written");
        let bench = cell(folder.path(), broker.port, &keys, TWO);
        bench.until_status(1, StatusCode::BadWaitingForInitialData).await;
        until("the link is up", || bench.links[0].snapshot().connected_since.is_some());
        bench.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_is_refused_is_the_fault_of_its_tags_alone() {
    let refuses_b = |first: u8, body: &[u8]| {
        let mut answer = right(first, body);
        if first >> 4 == 8 {
            for (at, filter) in filters(body).iter().enumerate() {
                if filter == "b" {
                    answer[4 + at] = 0x80;
                }
            }
        }
        answer
    };
    let fake = Fake::start(refuses_b);
    let folder = tempfile::tempdir().expect("a folder");
    let nodes = "nodes:\n  A: { type: Double, source: a }\n  B: { type: Double, source: b }\n  C: { type: Double, source: { address: c, online: b } }\n";
    let bench = cell(folder.path(), fake.port, "", nodes);
    let why = bad(&bench, 1, StatusCode::BadUserAccessDenied).await;
    assert_eq!(why, "the broker refuses the subscription to b (not authorized)");
    bad(&bench, 2, StatusCode::BadUserAccessDenied).await;
    fake.send(&message("a", b"1"));
    good(&bench, 0, Value::Double(1.0)).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_above_the_limit_is_dropped_and_the_link_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(broker) = Broker::open(folder.path()) else { return };
    let bench = cell(folder.path(), broker.port, ", max_message: 10KiB", TWO);
    listening(&broker, &bench, 0, "ready", "yes").await;
    broker.publish("a", "1", &[]);
    good(&bench, 1, Value::Double(1.0)).await;
    for size in [20_000, 300_000, 5_000_000] {
        let file = folder.path().join("big");
        std::fs::write(&file, vec![b'1'; size]).expect("written");
        broker.publish_file("a", &file);
        broker.publish("a", &size.to_string(), &[]);
        #[expect(clippy::cast_precision_loss, reason = "small")]
        good(&bench, 1, Value::Double(size as f64)).await;
    }
    assert_eq!(bench.links[0].snapshot().reconnects, 0);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_without_an_answer_times_out_and_a_late_answer_is_not_anothers() {
    let silent = Arc::new(AtomicBool::new(true));
    let is_silent = Arc::clone(&silent);
    let fake = Fake::start(move |first, body| match first >> 4 {
        3 if is_silent.load(Ordering::SeqCst) => Vec::new(),
        _ => right(first, body),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let nodes = "nodes:\n  A: { type: Double, source: { address: a, write: true, publish: a/set } }\n";
    let bench = cell(folder.path(), fake.port, ", timeout: 300ms", nodes);
    fake_is_up(&fake).await;
    fake.send(&message("a", b"1"));
    good(&bench, 0, Value::Double(1.0)).await;
    assert_eq!(bench.write(0, &Value::Double(2.0)).await, StatusCode::BadTimeout);
    // The ids of the packets were 1 for the subscription and 2 for the write.
    fake.send(&[0x40, 2, 0, 2]);
    assert_eq!(bench.write(0, &Value::Double(3.0)).await, StatusCode::BadTimeout);
    silent.store(false, Ordering::SeqCst);
    assert_eq!(bench.write(0, &Value::Double(4.0)).await, StatusCode::Good);
    assert_eq!(bench.links[0].snapshot().reconnects, 0);
    bench.stop().await;
}

async fn fake_is_up(fake: &Fake) {
    until_async("a subscription comes", || (fake.subscriptions() > 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_at_qos_2_counts_once_until_it_is_released() {
    let fake = Fake::start(right);
    let folder = tempfile::tempdir().expect("a folder");
    let bench = cell(folder.path(), fake.port, ", qos: 2", "nodes:\n  A: { type: Double, source: a }\n");
    fake_is_up(&fake).await;
    let seen = Seen::of(&bench, 0);
    for (id, payload) in [(5, "1"), (5, "1"), (6, "2"), (5, "1")] {
        fake.send(&numbered("a", 2, id, payload.as_bytes()));
    }
    fake.send(&[0x62, 2, 0, 5]);
    fake.send(&numbered("a", 2, 5, b"3"));
    good(&bench, 0, Value::Double(3.0)).await;
    assert_eq!(seen.good(), 3);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_of_a_broker_ends_the_connection_and_nothing_else() {
    let fake = Fake::start(right);
    let folder = tempfile::tempdir().expect("a folder");
    let bench = cell(folder.path(), fake.port, "", "nodes:\n  A: { type: Double, source: a }\n");
    let nonsense: [&[u8]; 8] = [
        &[0x30, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x36, 4, 0, 1, b'a', 0],
        &[0x32, 5, 0, 1, b'a', 0, 0],
        &[0x30, 3, 0, 9, b'a'],
        &[0x30, 3, 0, 1, 0xff],
        &[0x90, 0xff, 0xff, 0x7f],
        &[0x10, 2, 0, 0],
        &[0x20, 2, 0, 0],
    ];
    for (round, bytes) in (1..).zip(nonsense) {
        until_async("the link is open", || (fake.subscriptions() >= round).then_some(())).await;
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let value = round as f64;
        fake.send(&message("a", value.to_string().as_bytes()));
        good(&bench, 0, Value::Double(value)).await;
        fake.send(bytes);
    }
    until_async("the link is open", || (fake.subscriptions() > nonsense.len()).then_some(())).await;
    bench.stop().await;
}

/// Each tag that is Good holds a number that was sent on its own topic in a right message.
struct Truth {
    last: Vec<AtomicI64>,
    wrong: Mutex<Vec<String>>,
}

impl Watcher for Truth {
    fn offer(&self, key: u32, sample: &Sample, _: Moment) {
        if !sample.status.is_good() {
            return;
        }
        let Value::Int64(number) = sample.value else { return self.say(key, sample) };
        let (topic, count) = (number / 1_000_000_000, number % 1_000_000_000);
        if topic != i64::from(key) || count > self.last[key as usize].load(Ordering::SeqCst) {
            self.say(key, sample);
        }
    }
}

impl Truth {
    fn say(&self, key: u32, sample: &Sample) {
        self.wrong.lock().expect("no panic").push(format!("tag {key}: {sample:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_run_of_faults_gives_no_wrong_value() {
    const TAGS: u32 = 10;
    let rounds: u32 = std::env::var("OPCELL_EXCHANGES").ok().and_then(|text| text.parse().ok()).unwrap_or(3_000);
    let fake = Fake::start(right);
    let folder = tempfile::tempdir().expect("a folder");
    let tags: String = (0..TAGS)
        .map(|tag| {
            format!(
                "  T{tag}: {{ type: Int64, source: {{ address: t/{tag}, json: /v, write: true, publish: w/{tag} }} }}\n"
            )
        })
        .collect();
    let bench = cell(folder.path(), fake.port, ", timeout: 200ms, qos: 2", &format!("nodes:\n{tags}"));
    fake_is_up(&fake).await;
    let truth = Arc::new(Truth { last: (0..TAGS).map(|_| AtomicI64::new(0)).collect(), wrong: Mutex::default() });
    for tag in 0..TAGS {
        let watcher: Arc<dyn Watcher> = Arc::clone(&truth) as Arc<dyn Watcher>;
        bench.tags.watch(TagId(tag), Watch { watcher, key: tag, every: true });
    }
    let mut random = fastrand::Rng::with_seed(7);
    let mut good_values: HashMap<u32, i64> = HashMap::new();
    for round in 1..=i64::from(rounds) {
        let tag = random.u32(..TAGS);
        let right_one = || format!("{{\"v\":{}}}", i64::from(tag) * 1_000_000_000 + round);
        let wrong_one = || format!("{{\"v\":{}}}", i64::from(tag) * 1_000_000_000 + 999_999_999);
        let topic = format!("t/{tag}");
        match random.u8(..12) {
            0 => fake.cut(),
            1 => {
                let whole = message(&topic, wrong_one().as_bytes());
                fake.send(&whole[..random.usize(1..whole.len())]);
                fake.cut();
            }
            2 => fake.send(&message(&topic, &wrong_one().as_bytes()[..5])),
            3 => fake.send(&message(&format!("other/{tag}"), wrong_one().as_bytes())),
            4 => fake.send(&message(&topic, b"\xff\xfe{\"v\": 1}")),
            5 => fake.send(&packet(0x40, &random.u16(1..).to_be_bytes())),
            6 => fake.send(&packet(0x90, &[&random.u16(1..).to_be_bytes()[..], &[0x80, 1]].concat())),
            7 => fake.send(&(0..random.usize(1..30)).map(|_| random.u8(0x80..)).collect::<Vec<u8>>()),
            qos => {
                truth.last[tag as usize].store(round, Ordering::SeqCst);
                good_values.insert(tag, round);
                let bytes = match qos {
                    8 => numbered(&topic, 1, random.u16(1..), right_one().as_bytes()),
                    9 => numbered(&topic, 2, random.u16(1..), right_one().as_bytes()),
                    _ => message(&topic, right_one().as_bytes()),
                };
                fake.send(&bytes);
                if qos == 8 {
                    fake.send(&bytes);
                }
            }
        }
        if round % 64 == 0 {
            tokio::task::yield_now().await;
            // The link is opened again before the next faults, or they would all meet a closed one.
            let link = &bench.links[0];
            let began = Instant::now();
            until_async("the link is open again", || {
                (link.snapshot().connected_since.is_some() || began.elapsed() > Duration::from_secs(5)).then_some(())
            })
            .await;
        }
    }
    let wrong = truth.wrong.lock().expect("no panic").clone();
    assert!(wrong.is_empty(), "{} wrong values: {:?}", wrong.len(), wrong.first());
    assert_eq!(good_values.len(), TAGS as usize);
    fake.cut();
    bench.stop().await;
}
