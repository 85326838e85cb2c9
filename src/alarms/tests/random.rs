//! Random values, acts, restarts and reloads against a model that counts seconds and knows nothing of timers.
//! `ALARM_STEPS` sets the number of steps; the full run has 100,000.

use super::*;

/// A limit alarm in whole seconds: for each of its levels, for how long its value asks for the other state.
struct Model {
    rule: Alarm,
    is_exclusive: bool,
    on: [bool; 5],
    asked: [u64; 5],
    value: Option<f64>,
    enabled: bool,
    acked: bool,
    confirmed: bool,
    latched: bool,
    /// Seconds that are left, and whether a return to normal ends it.
    shelved: Option<(u64, bool)>,
    /// The last event that asks to be acknowledged, and all of the activation.
    asks: Vec<EventId>,
    known: Vec<EventId>,
}

/// Levels of the model: LowLow, Low, High, HighHigh, and the loss.
const BAD: usize = 4;

impl Model {
    fn new(rule: Alarm) -> Model {
        let is_exclusive = matches!(&rule.form, AlarmForm::Limits(of) if of.is_exclusive);
        Model {
            rule,
            is_exclusive,
            on: [false; 5],
            asked: [0; 5],
            value: None,
            enabled: true,
            acked: true,
            confirmed: true,
            latched: false,
            shelved: None,
            asks: Vec::new(),
            known: Vec::new(),
        }
    }

    fn is_active(&self) -> bool {
        self.on.contains(&true)
    }

    fn wants(&self, level: usize) -> bool {
        let Some(value) = self.value else { return level == BAD && self.rule.alarms_on_bad };
        let edge = if self.on[level] { 1.0 } else { 0.0 };
        match level {
            0 => value < 5.0 + edge,
            1 => value < 10.0 + edge,
            2 => value > 90.0 - edge,
            3 => value > 95.0 - edge,
            _ => false,
        }
    }

    /// Lets each level change that has been asked for long enough; `passes`: a second is over.
    fn look(&mut self, passes: bool) {
        let (delay, clear) = (self.rule.delay.as_secs(), self.rule.clear_delay.as_secs());
        let before = self.on;
        if self.value.is_some() && self.on[BAD] {
            self.on[BAD] = false;
        }
        for level in 0..5 {
            let is_held = self.value.is_none() && level != BAD;
            if is_held || self.wants(level) == self.on[level] {
                self.asked[level] = 0;
                continue;
            }
            self.asked[level] += u64::from(passes);
            let needed = match (self.on[level], level) {
                (false, _) => delay,
                (true, BAD) => u64::MAX,
                (true, _) => clear,
            };
            if self.asked[level] >= needed {
                self.on[level] = !self.on[level];
                self.asked[level] = 0;
                if self.on[level] {
                    let others: &[usize] = match level {
                        0 | 1 => &[2, 3],
                        2 | 3 => &[0, 1],
                        _ => &[0, 1, 2, 3],
                    };
                    others.iter().for_each(|other| (self.on[*other], self.asked[*other]) = (false, 0));
                }
            }
        }
        let raised: Vec<usize> = (0..5).filter(|level| self.on[*level] && !before[*level]).collect();
        if !raised.is_empty() {
            if !before.contains(&true) || before[BAD] || raised.contains(&BAD) {
                self.known.clear();
            }
            self.asks.clear();
            self.acked = !self.rule.needs_ack;
            self.confirmed = true;
            self.latched |= self.rule.is_latched;
        }
        if before.contains(&true) && !self.is_active() && self.shelved.is_some_and(|(_, one_shot)| one_shot) {
            self.shelved = None;
        }
    }

    fn second(&mut self) {
        if let Some((left, _)) = &mut self.shelved {
            *left -= 1;
            if *left == 0 {
                self.shelved = None;
            }
        }
        if self.enabled {
            self.look(true);
        }
    }

    fn text(&self) -> String {
        let worst = [BAD, 3, 0, 2, 1].into_iter().find(|level| self.on[*level]);
        let shown: Vec<usize> = match self.is_exclusive {
            true => worst.into_iter().collect(),
            false => (0..5).filter(|level| self.on[*level]).collect(),
        };
        let retain = self.enabled && (self.is_active() || !self.acked || !self.confirmed || self.latched);
        let Model { enabled, acked, confirmed, latched, .. } = self;
        format!("{enabled} {acked} {confirmed} {latched} {retain} {} {shown:?}", self.shelved.is_some())
    }

    fn act(&mut self, act: &Act) -> bool {
        let id = |event: &EventName| match event {
            EventName::Id(id) => *id,
            EventName::Present | EventName::Unknown => [0; 16],
        };
        let done = match act {
            Act::Enable => !self.enabled,
            _ if !self.enabled => false,
            Act::Disable => true,
            Act::AddComment(event) => self.known.contains(&id(event)),
            Act::Acknowledge(event) => !self.acked && self.asks.contains(&id(event)),
            Act::Confirm(event) => self.rule.needs_confirm && !self.confirmed && self.known.contains(&id(event)),
            Act::TimedShelve(millis) => {
                *millis > 0.0 && *millis <= 3_600_000.0 && self.shelved.is_none_or(|(_, one_shot)| one_shot)
            }
            Act::OneShotShelve => self.shelved.is_none_or(|(_, one_shot)| !one_shot),
            Act::Unshelve => self.shelved.is_some(),
            Act::Reset => self.rule.is_latched && self.latched && !self.is_active() && self.acked && self.confirmed,
        };
        if !done {
            return false;
        }
        match act {
            Act::Enable | Act::Disable => {
                (self.enabled, self.on, self.asked) = (*act == Act::Enable, [false; 5], [0; 5]);
                (self.acked, self.confirmed, self.latched) = (true, true, false);
                (self.asks, self.known) = (Vec::new(), Vec::new());
                if self.enabled {
                    self.look(false);
                }
            }
            Act::Acknowledge(_) => (self.acked, self.confirmed) = (true, !self.rule.needs_confirm),
            Act::Confirm(_) => self.confirmed = true,
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole seconds")]
            Act::TimedShelve(millis) => self.shelved = Some(((millis / 1000.0) as u64, false)),
            Act::OneShotShelve => self.shelved = Some((3_600, true)),
            Act::Unshelve => self.shelved = None,
            Act::Reset => self.latched = false,
            Act::AddComment(_) => {}
        }
        true
    }
}

fn seen(bench: &Bench) -> String {
    let state = bench.alarms.get(ALARM).expect("it is there").state();
    let place = |level: Level| match level {
        Level::Bad => BAD,
        level => level as usize,
    };
    let shown: Vec<usize> = Level::ALL.into_iter().filter(|level| state.levels.has(*level)).map(place).collect();
    let super::super::State { enabled, acked, confirmed, latched, .. } = state;
    format!("{enabled} {acked} {confirmed} {latched} {} {} {shown:?}", state.is_retained(), state.is_shelved())
}

fn random_act(random: &mut fastrand::Rng, ids: &[EventId]) -> Act {
    let mut event = || match ids.len() {
        0 => EventName::Unknown,
        count => EventName::Id(ids[count - 1 - random.usize(..count.min(8))]),
    };
    let (one, two, three) = (event(), event(), event());
    match random.u8(..12) {
        0 => Act::Enable,
        1 => Act::Disable,
        2 => Act::AddComment(one),
        3..=5 => Act::Acknowledge(two),
        6..=7 => Act::Confirm(three),
        8 => Act::TimedShelve(1000.0 * [0.0, 3.0, 20.0, 3_600.0, 3_601.0][random.usize(..5)]),
        9 => Act::OneShotShelve,
        10 => Act::Unshelve,
        _ => Act::Reset,
    }
}

/// One rule of many, as the seed says.
fn random_rule(random: &mut fastrand::Rng) -> Alarm {
    let mut rule = limits();
    if let AlarmForm::Limits(of) = &mut rule.form {
        of.is_exclusive = random.bool();
    }
    rule.delay = Duration::from_secs(random.u64(..3));
    rule.clear_delay = Duration::from_secs(random.u64(..3));
    (rule.needs_ack, rule.needs_confirm) = (random.u8(..4) > 0, random.bool());
    (rule.is_latched, rule.alarms_on_bad) = (random.bool(), random.bool());
    rule
}

#[test]
fn random_values_acts_restarts_and_reloads_go_as_a_simple_model_says() {
    let steps: usize = std::env::var("ALARM_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    for seed in 0..(steps / 500) as u64 {
        let mut random = fastrand::Rng::with_seed(seed);
        let rule = random_rule(&mut random);
        let (mut bench, mut model) = (Bench::new(rule.clone()), Model::new(rule));
        let mut log = Vec::new();
        bench.input(Value::Double(50.0), StatusCode::Good);
        model.value = Some(50.0);
        for step in 0..500 {
            match random.u8(..20) {
                0..=7 => {
                    let values = [50.0, 91.0, 89.5, 96.0, 94.5, 9.0, 10.5, 4.0, 5.5];
                    let value = (random.u8(..6) > 0).then(|| values[random.usize(..values.len())]);
                    model.value = value;
                    match value {
                        Some(value) => bench.input(Value::Double(value), StatusCode::Good),
                        None => bench.input(Value::Null, StatusCode::BadTimeout),
                    }
                    if model.enabled {
                        model.look(false);
                    }
                    log.push(format!("{value:?}"));
                }
                8..=12 => {
                    bench.wait(Duration::from_secs(1));
                    model.second();
                    log.push("second".into());
                }
                13 => {
                    // Timers begin again with the first value after the start.
                    bench.restart(None);
                    model.asked = [0; 5];
                    match model.value {
                        Some(value) => bench.input(Value::Double(value), StatusCode::Good),
                        None => bench.input(Value::Null, StatusCode::BadTimeout),
                    }
                    if model.enabled {
                        model.look(false);
                    }
                    log.push("restart".into());
                }
                14 => {
                    let rule = Alarm { severity: random.u16(1..=1000), ..model.rule.clone() };
                    bench.alarms.apply(&plant(rule.clone()), |_| None, bench.now);
                    // A rule that differs begins its timers again.
                    if rule != model.rule {
                        model.asked = [0; 5];
                    }
                    model.rule = rule;
                    log.push("reload".into());
                }
                _ => {
                    let act = random_act(&mut random, &bench.seen);
                    let (done, expected) = (bench.act(&act, None), model.act(&act));
                    assert_eq!(done.is_ok(), expected, "seed {seed}, step {step}: {act:?} gave {done:?} after {log:?}");
                    log.push(format!("{act:?}"));
                }
            }
            let before = bench.seen.len();
            bench.events();
            // In a flood the present event is the one that counts, whether it was sent or not.
            let present = bench.alarms.get(ALARM).expect("it is there").state().event_id;
            for id in bench.seen[before..].iter().copied().chain([present]) {
                if !model.known.contains(&id) && id != [0; 16] && model.is_of_activation(&bench, id) {
                    model.known.push(id);
                    if model.enabled && !model.acked {
                        model.asks.push(id);
                    }
                }
            }
            assert_eq!(seen(&bench), model.text(), "seed {seed}, step {step} after {log:?}");
        }
    }
}

impl Model {
    /// Whether an event was made since the model saw the activation begin: those before it are forgotten by both.
    fn is_of_activation(&self, bench: &Bench, id: EventId) -> bool {
        let condition = bench.alarms.get(ALARM).expect("it is there");
        condition.state().event_id == id
    }
}
