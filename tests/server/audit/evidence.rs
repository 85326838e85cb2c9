//! Refusals that strangers cause are counted to the last one, whatever else they do, and in bounded bytes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use opcell::testing::audit::{Audit, Filter, Kind, Record, Scribe, Who, show, verify};
use opcell::testing::model::{AuditLog, AuditPlan};
use opcua::StatusCode;

const MINUTE: Duration = Duration::from_secs(60);

/// An audit whose clock is what the test says.
struct Told {
    dir: tempfile::TempDir,
    audit: Audit,
    scribe: Option<Scribe>,
    now: Instant,
    channel: u32,
}

impl Told {
    fn start() -> Told {
        let dir = tempfile::tempdir().expect("a folder");
        let plan = AuditPlan { log: AuditLog::Off, ..AuditPlan::default() };
        let (audit, scribe) = Audit::start(&plan, dir.path()).expect("it starts");
        Told { dir, audit, scribe, now: Instant::now(), channel: 0 }
    }

    /// As the server records an act.
    fn act(&self, record: Record) {
        if let Some(before) = self.audit.admit(&record, self.now) {
            before.into_iter().chain([record]).for_each(|record| self.audit.tell(record));
        }
    }

    fn pass(&mut self, span: Duration) {
        self.now += span;
        self.audit.take_folded(self.now, false).into_iter().for_each(|record| self.audit.tell(record));
    }

    fn who(&self, peer: IpAddr) -> Who {
        Who { channel: self.channel, session: self.channel, peer: Some(peer), port: 4_000, ..Who::default() }
    }

    fn begin(&mut self, peer: IpAddr) {
        self.channel += 1;
        for kind in [Kind::ChannelOpened, Kind::SessionCreated] {
            self.act(Record::new(kind, StatusCode::Good, self.who(peer)));
        }
    }

    fn plain_session(&mut self, peer: IpAddr) {
        self.begin(peer);
        for kind in [Kind::SessionActivated, Kind::SessionClosed, Kind::ChannelClosed] {
            self.act(Record::new(kind, StatusCode::Good, self.who(peer)));
        }
    }

    fn guess(&mut self, peer: IpAddr, user: &str) {
        self.begin(peer);
        let who = Who { user: user.to_owned(), ..self.who(peer) };
        self.act(Record::new(Kind::SessionActivationRefused, StatusCode::BadIdentityTokenRejected, who));
        for kind in [Kind::SessionClosed, Kind::ChannelClosed] {
            self.act(Record::new(kind, StatusCode::Good, self.who(peer)));
        }
    }

    fn end(&mut self) {
        drop(self.scribe.take());
        assert_eq!(verify(self.dir.path()).expect("it can be read").findings, vec![]);
    }
}

fn address(n: u32) -> IpAddr {
    IpAddr::from((0x0a00_0000 + n).to_be_bytes())
}

fn texts(dir: &Path, kind: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let filter = Filter { kind: Some(kind.to_owned()), since: None };
    show(dir, &filter, &mut |record, _| texts.push(record.text())).expect("it can be read");
    texts
}

/// The value of a field in a shown record.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split(' ').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

/// Acts by this field: each record is one, or as many as it counts.
fn counts(texts: &[String], name: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for text in texts {
        let acts = field(text, "more").map_or(1, |more| more.parse().expect("a number"));
        *counts.entry(field(text, name).unwrap_or_default().to_owned()).or_default() += acts;
    }
    counts
}

#[test]
fn guesses_hidden_among_plain_sessions_appear_with_names_and_counts() {
    let mut told = Told::start();
    let peer = address(1);
    for minute in 0..60u32 {
        // Five plain sessions at the start of each minute use up every share of routine.
        (0..5).for_each(|_| told.plain_session(peer));
        for n in 0..if minute < 20 { 4 } else { 3 } {
            told.guess(peer, &format!("user{}", (minute + n) % 10));
        }
        told.pass(MINUTE);
    }
    told.end();
    let refused = texts(told.dir.path(), "session.activation-refused");
    let counts = counts(&refused, "user");
    assert_eq!((counts.len(), counts.values().sum::<u64>()), (10, 200), "{counts:?}");
    assert!(refused.iter().all(|text| text.contains("peer=10.0.0.1")), "{refused:#?}");
}

#[test]
fn a_guess_that_repeats_is_one_record_and_one_count_a_minute() {
    let mut told = Told::start();
    (0..50).for_each(|_| told.guess(address(1), "opal"));
    told.pass(MINUTE);
    told.guess(address(1), "opal");
    told.pass(MINUTE);
    told.end();
    let refused = texts(told.dir.path(), "session.activation-refused");
    assert_eq!(refused.len(), 3, "{refused:#?}");
    assert!(refused[1].contains("49 more like this within a minute, the last at 20"), "{}", refused[1]);
    assert!(refused[1].contains("user=opal") && refused[1].contains("more=49"), "{}", refused[1]);
}

#[test]
fn the_channel_and_the_session_of_a_refusal_are_recorded_although_routine_is_used_up() {
    let mut told = Told::start();
    (0..40).for_each(|_| told.plain_session(address(1)));
    told.guess(address(1), "opal");
    let channel = told.channel.to_string();
    told.pass(MINUTE);
    told.end();
    let all = texts(told.dir.path(), "channel");
    let opened = all.iter().filter(|text| field(text, "channel") == Some(&channel)).count();
    assert_eq!(opened, 1, "{all:#?}");
    let all = texts(told.dir.path(), "session");
    let of_guess: Vec<_> = all.iter().filter(|text| field(text, "channel") == Some(&channel)).collect();
    assert_eq!(of_guess.len(), 2, "{all:#?}");
    assert!(of_guess[0].contains("session.created") && of_guess[1].contains("session.activation-refused"));
}

#[test]
fn routine_that_is_left_out_is_counted_by_address_and_kind() {
    let mut told = Told::start();
    (0..100).for_each(|_| told.plain_session(address(1)));
    told.plain_session(address(2));
    told.pass(MINUTE);
    told.end();
    let limited = texts(told.dir.path(), "audit.limited");
    assert_eq!(limited.len(), 1, "{limited:#?}");
    let text = &limited[0];
    assert!(
        text.contains("peer=10.0.0.1") && text.contains("more=480") && text.contains("96 channel.opened"),
        "{text}"
    );
}

#[test]
fn an_hour_of_everything_that_strangers_can_do_is_counted_to_the_last_and_stays_bounded() {
    let mut told = Told::start();
    let mut caused = 0;
    for minute in 0..60u32 {
        for n in 0..3_000u32 {
            // New names all the time, from more addresses than are counted apart.
            let who = Who { user: format!("{minute}-{n}"), peer: Some(address(n % 1_500)), ..Who::default() };
            told.act(Record::new(Kind::SessionActivationRefused, StatusCode::BadIdentityTokenRejected, who.clone()));
            let who = Who { user: String::new(), ..who };
            told.act(Record::new(Kind::ChannelRefused, StatusCode::BadCertificateUntrusted, who));
            caused += 2;
        }
        told.pass(MINUTE);
        assert!(told.audit.trouble().is_none());
    }
    told.end();
    let mut refused = texts(told.dir.path(), "session.activation-refused");
    refused.extend(texts(told.dir.path(), "channel.refused"));
    assert_eq!(counts(&refused, "status").values().sum::<u64>(), caused);
    let bytes = std::fs::metadata(told.dir.path().join("audit/audit-000001.jsonl")).expect("a file").len();
    assert!(bytes < 8 << 20, "{bytes} bytes in {} records", refused.len());
    // An address that was quiet until now is not hidden by them.
    let mut one = Told::start();
    (0..50_000).for_each(|n| {
        let who = Who { user: format!("{n}"), peer: Some(address(n % 3)), ..Who::default() };
        one.act(Record::new(Kind::SessionActivationRefused, StatusCode::BadIdentityTokenRejected, who));
    });
    one.guess(address(77), "opal");
    one.end();
    let refused = texts(one.dir.path(), "session.activation-refused");
    assert!(refused.iter().any(|text| text.contains("user=opal") && text.contains("10.0.0.77")));
    let bytes = std::fs::metadata(one.dir.path().join("audit/audit-000001.jsonl")).expect("a file").len();
    assert!(bytes < 1 << 20, "{bytes} bytes of three addresses");
}

#[test]
fn acts_of_the_server_and_of_users_are_never_limited() {
    let told = Told::start();
    let known = Who { user: "opal".to_owned(), peer: Some(address(1)), ..Who::default() };
    for (kind, who) in [
        (Kind::AuditLimited, Who { peer: Some(address(1)), ..Who::default() }),
        (Kind::AuditLost, Who::default()),
        (Kind::LoginBlocked, known.clone()),
        (Kind::UsersChanged, Who::default()),
        (Kind::TrustChanged, Who::default()),
        (Kind::SessionActivated, known.clone()),
        (Kind::ChannelOpened, known),
    ] {
        let record = Record::new(kind, StatusCode::Good, who);
        assert_eq!((0..5_000).filter(|_| told.audit.admit(&record, told.now).is_some()).count(), 5_000, "{kind:?}");
    }
}
