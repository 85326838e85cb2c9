//! Plays the rows of a recording at their times.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use opcua::StatusCode;
use tokio::time::{Instant, sleep_until};

use super::settings::{AtEnd, Settings};
use super::table::{Fault, Played, Table, bad_status};
use crate::drivers::contract::LinkError;
use crate::drivers::feed::Feed;
use crate::drivers::plan::PointPlan;
use crate::drivers::push::Push;
use crate::tags::RawSample;
use crate::value::{
    BuiltIn, Elements, UaTime, Value, boolean_from_text, from_hex, number_from_text, status_from_text, time_from_text,
    value_from_text,
};

/// Seconds of a tick.
const TICK: f64 = 1e-7;

/// Rows that are played without a pause for others.
const AT_ONCE: usize = 256;

pub(super) struct Player {
    settings: Settings,
    table: Arc<Result<Table, Fault>>,
    points: Arc<Vec<PointPlan>>,
    /// Places of the points of each signal.
    signals: HashMap<String, Vec<u32>>,
    began: Option<Began>,
    /// The row that is played next, and how many times the recording was played as a whole.
    next: Position,
    has_ended: bool,
    /// Points that came while it played: they have missed their row.
    late: Vec<u32>,
}

/// The moment of the first row.
#[derive(Debug, Clone, Copy)]
struct Began {
    mono: Instant,
    wall: UaTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Position {
    row: usize,
    turn: u64,
}

impl Player {
    pub(super) fn new(settings: &Settings, points: Arc<Vec<PointPlan>>) -> Player {
        let table = settings.shared_table();
        let mut signals: HashMap<String, Vec<u32>> = HashMap::new();
        if let Ok(table) = &*table {
            for (at, point) in (0..).zip(points.iter()).filter(|(_, point)| point.read) {
                signals.entry(table.name(&point.address).to_owned()).or_default().push(at);
            }
        }
        Player {
            settings: settings.clone(),
            table,
            points,
            signals,
            began: None,
            next: Position::default(),
            has_ended: false,
            late: Vec::new(),
        }
    }

    /// Time of a row since the start.
    fn after_start(&self, table: &Table, at: Position) -> Duration {
        let row = table.lines().get(at.row).map_or(table.length(), |line| line.at);
        #[expect(clippy::cast_precision_loss, reason = "to 100 ns over 28 years")]
        let ticks = at.turn as f64 * table.length() as f64 + row as f64;
        Duration::try_from_secs_f64(ticks * TICK / self.settings.speed).unwrap_or(Duration::MAX)
    }

    /// The SourceTimestamp of a row.
    fn time_of(&self, table: &Table, at: Position) -> UaTime {
        let began = self.began.map_or_else(UaTime::now, |began| began.wall);
        let ticks = i64::try_from(self.after_start(table, at).as_nanos() / 100).unwrap_or(i64::MAX);
        UaTime(began.0.saturating_add(ticks))
    }

    /// When the next row, or the end, is due; `None`: never.
    fn due(&self, table: &Table) -> Option<Instant> {
        if self.has_ended {
            return None;
        }
        self.began?.mono.checked_add(self.after_start(table, self.next))
    }

    /// Plays what is due, and goes on to what follows.
    fn step(&mut self, table: &Table, feed: &Feed) {
        if let Some(line) = table.lines().get(self.next.row).copied() {
            let time = self.time_of(table, self.next);
            table.play(line, |played| self.play(table, played, time, feed));
            self.next.row += 1;
            return;
        }
        match self.settings.at_end {
            AtEnd::Loop if table.length() > 0 => self.next = Position { row: 0, turn: self.next.turn + 1 },
            AtEnd::Loop | AtEnd::Hold => self.has_ended = true,
            AtEnd::Bad => {
                self.has_ended = true;
                let ended = ended().at(self.time_of(table, self.next));
                self.signals.values().flatten().for_each(|point| feed.sample(*point, ended.clone()));
            }
        }
    }

    /// Feeds a cell to the points of its signal.
    fn play(&self, table: &Table, played: Played<'_>, time: UaTime, feed: &Feed) {
        for at in self.signals.get(played.signal).into_iter().flatten() {
            feed.sample(*at, sample(&self.points[*at as usize], played, table.is_export()).at(time));
        }
    }

    /// Gives points that came later the values that hold now.
    fn catch_up(&mut self, table: &Table, feed: &Feed) {
        let late = std::mem::take(&mut self.late);
        if self.has_ended && self.settings.at_end == AtEnd::Bad {
            let ended = ended().at(self.time_of(table, self.next));
            late.iter().for_each(|point| feed.sample(*point, ended.clone()));
            return;
        }
        let mut wanted: HashMap<String, Vec<u32>> = HashMap::new();
        for point in late {
            let signal = table.name(&self.points[point as usize].address);
            wanted.entry(signal.to_owned()).or_default().push(point);
        }
        let turn = self.next.turn;
        let now = (0..self.next.row).rev().map(|row| Position { row, turn });
        let before = turn.checked_sub(1).into_iter();
        let before = before.flat_map(|turn| (0..table.lines().len()).rev().map(move |row| Position { row, turn }));
        for at in now.chain(before) {
            if wanted.is_empty() {
                return;
            }
            let time = self.time_of(table, at);
            table.play(table.lines()[at.row], |played| {
                for point in wanted.remove(played.signal).into_iter().flatten() {
                    feed.sample(point, sample(&self.points[point as usize], played, table.is_export()).at(time));
                }
            });
        }
    }
}

fn ended() -> RawSample {
    RawSample::from(Err(StatusCode::BadNoData)).because("the recording has ended")
}

/// The sample of a cell for one point.
fn sample(point: &PointPlan, played: Played<'_>, is_export: bool) -> RawSample {
    if let Some(status) = bad_status(played.text).filter(|_| !is_export) {
        return RawSample::from(Err(status)).because("the recording says so");
    }
    let status = played.status.and_then(status_from_text).unwrap_or(StatusCode::Good);
    if status.is_bad() {
        return RawSample::from(Err(status)).because("the recording says so");
    }
    match value(point, played.text) {
        Some(value) if !is_export && has_no_number(&value) => {
            let why = format!("the recording has `{}` for {}", played.text.trim(), point.address);
            RawSample::from(Err(StatusCode::BadSensorFailure)).because(&why)
        }
        Some(value) => RawSample::new(value, status),
        None => {
            let text: String = played.text.chars().take(60).collect();
            let why = format!("the recording has `{text}` for {}, which is no {:?}", point.address, point.kind);
            RawSample::from(Err(StatusCode::BadDataEncodingInvalid)).because(&why)
        }
    }
}

/// Whether a float of the value is NaN or infinite.
fn has_no_number(value: &Value) -> bool {
    match value {
        Value::Double(number) => !number.is_finite(),
        Value::Array(array) => match &array.elements {
            Elements::Double(all) => all.iter().any(|number| !number.is_finite()),
            Elements::Float(all) => all.iter().any(|number| !number.is_finite()),
            _ => false,
        },
        _ => false,
    }
}

/// The raw value of a cell; the tag's type follows in the store.
fn value(point: &PointPlan, text: &str) -> Option<Value> {
    if point.is_array {
        return value_from_text(point.kind, true, text);
    }
    if let Some(number) = point.enumeration.as_ref().and_then(|of| of.value_of(text)) {
        return Some(Value::Int32(number));
    }
    match point.kind {
        BuiltIn::Boolean => boolean_from_text(text).map(Value::Boolean),
        BuiltIn::String => Some(Value::text(text)),
        BuiltIn::ByteString => from_hex(text).map(|bytes| Value::ByteString(bytes.into())),
        BuiltIn::DateTime => time_from_text(text).map(Value::DateTime),
        _ => number_from_text(text),
    }
}

impl Push for Player {
    async fn connect(&mut self) -> Result<(), LinkError> {
        if let Err(fault) = &*self.table {
            return Err(LinkError::Lost(fault.message.clone()));
        }
        self.began.get_or_insert_with(|| Began { mono: Instant::now(), wall: UaTime::now() });
        Ok(())
    }

    async fn run(&mut self, feed: &Feed) -> LinkError {
        let shared = Arc::clone(&self.table);
        let Ok(table) = &*shared else { return LinkError::Lost("there is no recording".to_owned()) };
        self.catch_up(table, feed);
        loop {
            match self.due(table) {
                None => pending::<()>().await,
                Some(due) => sleep_until(due).await,
            }
            let now = Instant::now();
            for _ in 0..AT_ONCE {
                if self.due(table).is_none_or(|due| due > now) {
                    break;
                }
                self.step(table, feed);
            }
            tokio::task::yield_now().await;
        }
    }

    async fn write(&mut self, _: u32, _: &Value, _: u32, _: &Feed) -> Result<StatusCode, LinkError> {
        Ok(StatusCode::BadNotWritable)
    }

    async fn disconnect(&mut self) {}

    /// The recording goes on where it is.
    fn adopt(&mut self, old: &mut Player) -> bool {
        if self.settings != old.settings {
            return false;
        }
        (self.began, self.next, self.has_ended) = (old.began, old.next, old.has_ended);
        let was_late = |at: u32| old.late.contains(&at);
        let known = (0..).zip(old.points.iter()).filter(|(at, _)| !was_late(*at));
        let known: HashMap<_, &PointPlan> = known.map(|(_, point)| (point.tag, point)).collect();
        let is_new = |point: &PointPlan| known.get(&point.tag).is_none_or(|old| **old != *point);
        let reads = (0..).zip(self.points.iter()).filter(|(_, point)| point.read);
        self.late = reads.filter(|(_, point)| is_new(point)).map(|(at, _)| at).collect();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::plan::PointPlan;

    const WIDE: &str = "time,Level,State,On\n\
        2026-11-29T09:00:00Z,1.5,idle,yes\n\
        2026-11-29T09:00:01Z,,run,\n\
        2026-11-29T09:00:03Z,#BadSensorFailure,stop,off\n";

    fn settings(keys: &str, csv: &str) -> Settings {
        let mut settings: Settings = serde_json::from_str(&format!("{{\"file\": \"a.csv\"{keys}}}")).expect("settings");
        settings.file.fill(csv.as_bytes().into());
        settings
    }

    fn point(tag: u32, address: &str, kind: BuiltIn) -> PointPlan {
        PointPlan { address: address.to_owned(), kind, write: false, ..PointPlan::sample(tag) }
    }

    /// A player that began, and its samples: milliseconds since it began, point, value or code.
    struct Stage {
        player: Player,
        feed: Feed,
    }

    impl Stage {
        async fn new(settings: &Settings, points: Vec<PointPlan>) -> Stage {
            let feed = Feed::new(points.len());
            let mut player = Player::new(settings, Arc::new(points));
            player.connect().await.expect("a recording");
            Stage { player, feed }
        }

        /// Plays for this time, in two parts: `run` is dropped for each write.
        async fn play(&mut self, time: Duration) -> Vec<(i64, u32, String)> {
            for _ in 0..2 {
                tokio::time::timeout(time / 2, self.player.run(&self.feed)).await.expect_err("it plays on");
            }
            let began = self.player.began.expect("it began").wall;
            let mut all = Vec::new();
            self.feed.drain(|point, sample| {
                let time = (sample.source_time().expect("a time").0 - began.0) / 10_000;
                let shown = sample.value().map_or_else(|code| code.to_string(), |value| value.shown());
                all.push((time, point, shown));
            });
            all
        }
    }

    fn all() -> Vec<PointPlan> {
        vec![
            point(0, "Level", BuiltIn::Double),
            point(1, "State", BuiltIn::String),
            point(2, "On", BuiltIn::Boolean),
            point(3, "Level", BuiltIn::Double),
        ]
    }

    fn of(point: u32, samples: &[(i64, u32, String)]) -> Vec<(i64, &str)> {
        samples.iter().filter(|(_, of, _)| *of == point).map(|(time, _, shown)| (*time, shown.as_str())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn rows_are_played_at_their_times_again_and_again() {
        let mut stage = Stage::new(&settings("", WIDE), all()).await;
        let played = stage.play(Duration::from_millis(8_500)).await;
        let bad = "BadSensorFailure";
        assert_eq!(of(0, &played), [(0, "1.5"), (3_000, bad), (5_000, "1.5"), (8_000, bad)]);
        assert_eq!(of(0, &played), of(3, &played), "two tags of one column");
        let texts = [(0, "\"idle\""), (1_000, "\"run\""), (3_000, "\"stop\""), (5_000, "\"idle\""), (6_000, "\"run\"")];
        assert_eq!(of(1, &played)[..5], texts);
        assert_eq!(of(2, &played), [(0, "true"), (3_000, "false"), (5_000, "true"), (8_000, "false")]);
    }

    #[tokio::test(start_paused = true)]
    async fn time_is_scaled_and_a_recording_ends_as_it_says() {
        let faster = settings(", \"speed\": 10, \"at_end\": \"bad\"", WIDE);
        let mut stage = Stage::new(&faster, all()).await;
        let played = stage.play(Duration::from_secs(60)).await;
        assert_eq!(of(2, &played), [(0, "true"), (300, "false"), (500, "BadNoData")]);
        let held = settings(", \"speed\": 0.5, \"at_end\": \"hold\"", WIDE);
        let mut stage = Stage::new(&held, all()).await;
        let played = stage.play(Duration::from_secs(60)).await;
        assert_eq!(of(2, &played), [(0, "true"), (6_000, "false")]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_recording_of_one_moment_is_played_once() {
        for rows in ["0,7\n", "0,6\n0,7\n"] {
            let one = settings("", &format!("time,Level\n{rows}"));
            let mut stage = Stage::new(&one, vec![point(0, "Level", BuiltIn::Int16)]).await;
            let played = stage.play(Duration::from_secs(60)).await;
            assert_eq!(of(0, &played).last(), Some(&(0, "7")), "{rows}");
            assert_eq!(played.len(), rows.lines().count());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_export_is_played_with_its_statuses_in_the_order_of_its_times() {
        let export = "namespace,identifier,type,source_time,server_time,status,value\n\
            urn:a,s=Tank.Level,Double,2026-11-29T09:00:00Z,2026-11-29T09:00:00Z,Good,1\n\
            urn:a,s=Tank.Level,Double,2026-11-29T09:00:02Z,2026-11-29T09:00:02Z,UncertainLastUsableValue,2\n\
            urn:a,s=Tank.Name,String,2026-11-29T09:00:01Z,2026-11-29T09:00:01Z,Good,\"a, \"\"b\"\"\"\n\
            urn:a,s=Tank.Level,Double,2026-11-29T09:00:03Z,2026-11-29T09:00:03Z,BadTimeout,\n";
        let points = vec![point(0, "Tank.Level", BuiltIn::Double), point(1, "s=Tank.Name", BuiltIn::String)];
        let mut stage = Stage::new(&settings(", \"at_end\": \"hold\"", export), points).await;
        let played = stage.play(Duration::from_secs(9)).await;
        assert_eq!(of(0, &played), [(0, "1"), (2_000, "2"), (3_000, "BadTimeout")]);
        assert_eq!(of(1, &played), [(1_000, "\"a, \\\"b\\\"\"")]);
    }

    #[tokio::test(start_paused = true)]
    async fn cells_that_do_not_fit_are_bad_with_a_reason() {
        let csv = "time,A\n0,x\n1,NaN\n2,70000\n3,2.5\n";
        for (kind, wanted) in [
            (BuiltIn::Int16, ["BadDataEncodingInvalid", "BadSensorFailure", "70000", "2.5"]),
            (BuiltIn::Boolean, ["BadDataEncodingInvalid"; 4]),
            (BuiltIn::String, ["\"x\"", "\"NaN\"", "\"70000\"", "\"2.5\""]),
        ] {
            let mut stage = Stage::new(&settings(", \"at_end\": \"hold\"", csv), vec![point(0, "A", kind)]).await;
            let played = stage.play(Duration::from_secs(5)).await;
            let shown: Vec<&str> = played.iter().map(|(_, _, shown)| shown.as_str()).collect();
            assert_eq!(shown, wanted, "{kind:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_tag_that_comes_later_gets_the_value_that_holds() {
        let settings = settings("", WIDE);
        let mut old = Stage::new(&settings, vec![point(0, "State", BuiltIn::String)]).await;
        let before = old.play(Duration::from_millis(6_200)).await;
        let points = vec![
            point(5, "Level", BuiltIn::Double),
            point(0, "State", BuiltIn::String),
            point(6, "On", BuiltIn::Boolean),
        ];
        let mut player = Player::new(&settings, Arc::new(points));
        assert!(player.adopt(&mut old.player));
        let mut new = Stage { player, feed: Feed::new(3) };
        let played = new.play(Duration::from_millis(2_000)).await;
        assert_eq!(of(0, &played), [(5_000, "1.5"), (8_000, "BadSensorFailure")]);
        assert_eq!(of(2, &played), [(5_000, "true"), (8_000, "false")]);
        let states: Vec<_> = of(0, &before).into_iter().chain(of(1, &played)).collect();
        let wanted =
            [(0, "\"idle\""), (1_000, "\"run\""), (3_000, "\"stop\""), (5_000, "\"idle\""), (6_000, "\"run\"")];
        assert_eq!(states[..5], wanted);
        assert_eq!(states[5..], [(8_000, "\"stop\"")], "none is lost and none comes twice");
        let faster = Settings { speed: 2.0, ..settings.clone() };
        assert!(!Player::new(&faster, Arc::default()).adopt(&mut new.player), "another recording");
    }
}
