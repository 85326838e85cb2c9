//! The tables of Part 9 and of docs/alarms.md, as steps and what follows from them.

mod lasting;
mod random;

use std::sync::Arc;
use std::time::Duration;

use opcua::StatusCode;
use tokio::time::Instant;

use super::{Act, Alarms, EventId, EventName, Input, Level, Report, Words};
use crate::model::{
    Alarm, AlarmClass, AlarmForm, AlarmIx, AlarmLimit, AlarmLimits, AlarmMessage, AlarmTexts, MessagePart, Plant, TagId,
};
use crate::value::{Moment, UaTime, Value};

const ALARM: AlarmIx = AlarmIx(0);

/// HighHigh 95, High 90, Low 10, LowLow 5.
fn limits() -> Alarm {
    let limit = |at: f64, severity| Some(AlarmLimit { at, severity, message: None });
    let at = [limit(5.0, Some(800)), limit(10.0, None), limit(90.0, None), limit(95.0, Some(800))];
    Alarm {
        tag: TagId(0),
        name: "Level".into(),
        form: AlarmForm::Limits(AlarmLimits { is_exclusive: true, hysteresis: 1.0, at }),
        severity: 600,
        message: AlarmMessage(vec![MessagePart::Text("at ".into()), MessagePart::Value]),
        delay: Duration::ZERO,
        clear_delay: Duration::ZERO,
        needs_ack: true,
        needs_confirm: false,
        is_latched: false,
        shelve: Some(Duration::from_hours(1)),
        class: AlarmClass::Process,
        alarms_on_bad: false,
        enabled: true,
        shown: AlarmTexts::default(),
    }
}

fn off_normal() -> Alarm {
    Alarm { form: AlarmForm::OffNormal { normal: Value::Double(0.0) }, ..limits() }
}

fn plant(rule: Alarm) -> Plant {
    let mut plant = Plant::default();
    plant.alarms.push(rule);
    plant
}

/// One alarm, its clock, and the ids of its events.
struct Bench {
    alarms: Alarms,
    now: Moment,
    seen: Vec<EventId>,
}

impl Bench {
    fn new(rule: Alarm) -> Bench {
        let now = Moment { mono: Instant::now(), wall: UaTime(1_000_000_000) };
        let mut alarms = Alarms::new(1);
        alarms.apply(&plant(rule), |_| None, now);
        Bench { alarms, now, seen: Vec::new() }
    }

    fn wait(&mut self, span: Duration) {
        self.now = Moment { mono: self.now.mono + span, wall: self.now.wall.plus(span) };
        self.alarms.pass(self.now);
    }

    fn input(&mut self, value: Value, status: StatusCode) {
        let input = Input { value, status, time: self.now.wall, why: "plc1 is silent".into() };
        self.alarms.take(ALARM, input, self.now);
    }

    fn act(&mut self, act: &Act, words: Option<&Words>) -> Result<(), StatusCode> {
        self.alarms.act(ALARM, act, words, &"anna".into(), self.now)
    }

    fn events(&mut self) -> Vec<Report> {
        let reports = self.alarms.take_reports();
        self.seen.extend(reports.iter().map(|report| report.state.event_id));
        reports
    }

    /// One step in words; the status of an act that is refused.
    fn step(&mut self, text: &str) -> Result<(), StatusCode> {
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        // `ack`: by the last event; `ack 2`: by the third one of all.
        let event = || match rest.parse::<usize>() {
            Ok(at) => EventName::Id(self.seen[at]),
            Err(_) if rest == "unknown" => EventName::Unknown,
            Err(_) => self.seen.last().map_or(EventName::Unknown, |id| EventName::Id(*id)),
        };
        let act = match verb {
            "bad" => {
                self.input(Value::Null, StatusCode::BadTimeout);
                return Ok(());
            }
            "off" => {
                self.input(Value::Null, StatusCode::BadOutOfService);
                return Ok(());
            }
            "uncertain" => {
                self.input(Value::Double(rest.parse().expect("a value")), StatusCode::UncertainLastUsableValue);
                return Ok(());
            }
            "wait" => {
                self.wait(Duration::from_secs_f64(rest.parse().expect("seconds")));
                return Ok(());
            }
            "restart" => {
                self.restart(None);
                return Ok(());
            }
            "suppress" => {
                self.alarms.with(ALARM, |condition, ids| condition.suppress(rest == "on", self.now, ids));
                return Ok(());
            }
            "ack" => Act::Acknowledge(event()),
            "confirm" => Act::Confirm(event()),
            "comment" => Act::AddComment(event()),
            "reset" => Act::Reset,
            "enable" => Act::Enable,
            "disable" => Act::Disable,
            "shelve" => Act::TimedShelve(rest.parse().expect("milliseconds")),
            "oneshot" => Act::OneShotShelve,
            "unshelve" => Act::Unshelve,
            value => {
                self.input(Value::Double(value.parse().expect("a value")), StatusCode::Good);
                return Ok(());
            }
        };
        self.act(&act, None)
    }

    /// The server stops and starts again, with another rule or the same.
    fn restart(&mut self, rule: Option<Alarm>) {
        let rule = rule.unwrap_or_else(|| Alarm::clone(self.alarms.get(ALARM).expect("it is there").rule()));
        let kept: Vec<_> = self.alarms.kept(self.now).collect();
        let text = serde_json::to_string(&kept.iter().map(|(_, kept)| kept).collect::<Vec<_>>()).expect("JSON");
        let kept: Vec<super::Kept> = serde_json::from_str(&text).expect("JSON");
        let mut alarms = Alarms::new(2);
        alarms.apply(&plant(rule), |_| kept.first().cloned(), self.now);
        self.alarms = alarms;
    }
}

/// `A` active, `K` acknowledged, `C` confirmed, `R` retain; then the levels and severity, then what else is so.
fn text(report: &Report) -> String {
    let state = &report.state;
    let flag = |is: bool, letter: char| if is { letter } else { '-' };
    let mut text: String = [
        flag(state.is_active(), 'A'),
        flag(state.acked, 'K'),
        flag(state.confirmed, 'C'),
        flag(state.is_retained(), 'R'),
    ]
    .into_iter()
    .collect();
    for level in Level::ALL.into_iter().filter(|level| state.levels.has(*level)) {
        text.push_str(&format!(" {level:?}"));
    }
    text.push_str(&format!(" {}", state.severity));
    for (is, word) in [
        (state.latched, "latched"),
        (state.is_shelved(), "shelved"),
        (state.suppressed, "suppressed"),
        (!state.enabled, "disabled"),
        (state.quality.is_bad(), "bad"),
        (state.quality.is_uncertain(), "uncertain"),
        (report.begins_flood, "flood"),
    ] {
        if is {
            text.push_str(&format!(" {word}"));
        }
    }
    text
}

/// Runs steps; each has the events that follow, `;` between them, or the status of a refusal.
fn check(rule: Alarm, steps: &[(&str, &str)]) {
    let mut bench = Bench::new(rule);
    for (at, (step, expected)) in steps.iter().enumerate() {
        let outcome = bench.step(step);
        let events = bench.events().iter().map(text).collect::<Vec<_>>().join("; ");
        let found = match outcome {
            Ok(()) => events,
            Err(status) => {
                assert_eq!(events, "", "step {at}: {step}");
                format!("{status:?}").split(' ').next().unwrap_or_default().to_owned()
            }
        };
        assert_eq!(found, *expected, "step {at}: {step}");
    }
}

/// Part 9 §B.1.2, Table B.1 (1.05).
#[test]
fn a_condition_that_keeps_its_latest_state_alone_goes_as_in_table_b_1() {
    let rule = Alarm { needs_confirm: true, ..off_normal() };
    check(
        rule,
        &[
            ("0", ""),
            ("1", "A-CR Whole 600"),
            ("ack", "AK-R Whole 600"),
            ("0", "-K-R 600"),
            ("confirm", "-KC- 600"),
            ("1", "A-CR Whole 600"),
            ("0", "--CR 600"),
            ("ack", "-K-R 600"),
            ("confirm", "-KC- 600"),
        ],
    );
}

#[test]
fn an_exclusive_alarm_has_one_event_for_each_move_and_asks_again_when_it_becomes_worse() {
    check(
        limits(),
        &[
            ("50", ""),
            ("90", ""), // on the limit is not above it
            ("90.1", "A-CR High 600"),
            ("93", ""), // the value merely moves
            ("ack", "AKCR High 600"),
            ("96", "A-CR HighHigh 800"),
            ("ack 0", "BadEventIdUnknown"), // the operator has not seen the second limit
            ("ack 2", "AKCR HighHigh 800"),
            ("94.1", ""), // inside the hysteresis
            ("94", "AKCR High 600"),
            ("89.1", ""),
            ("89", "-KC- 600"),
            ("4", "A-CR LowLow 800"),
            ("6", "A-CR Low 600"),
            ("96", "A-CR HighHigh 800"),
            ("50", "--CR 800"),
            ("96", "A-CR HighHigh 800"),
            ("ack 8", "BadEventIdUnknown"), // of the activation before
            ("ack", "AKCR HighHigh 800"),
            ("ack", "BadConditionBranchAlreadyAcked"),
            ("50", "-KC- 800"),
        ],
    );
}

#[test]
fn each_limit_of_a_nonexclusive_alarm_changes_by_itself() {
    let AlarmForm::Limits(of) = limits().form else { unreachable!("it has limits") };
    let rule = Alarm { form: AlarmForm::Limits(AlarmLimits { is_exclusive: false, ..of }), ..limits() };
    check(
        rule,
        &[
            ("50", ""),
            ("91", "A-CR High 600"),
            ("96", "A-CR High HighHigh 800"),
            ("ack", "AKCR High HighHigh 800"),
            ("92", "AKCR High 600"),
            ("50", "-KC- 600"),
            ("4", "A-CR LowLow Low 800"),
        ],
    );
}

#[test]
fn a_delay_runs_while_the_condition_holds_without_a_break() {
    let rule = Alarm { delay: Duration::from_secs(2), clear_delay: Duration::from_secs(3), ..limits() };
    check(
        rule,
        &[
            ("91", ""),
            ("wait 1.9", ""),
            ("50", ""),
            ("91", ""),
            ("wait 1", ""),
            ("96", ""), // HighHigh has its own time
            ("wait 1", "A-CR High 600"),
            ("wait 1", "A-CR HighHigh 800"),
            ("50", ""),
            ("wait 2", ""),
            ("96", ""), // it holds again: the time to clear begins again
            ("50", ""),
            ("wait 2", ""),
            ("wait 1", "--CR 800"),
        ],
    );
}

#[test]
fn the_time_of_an_event_is_that_of_its_cause_and_the_delay_that_ran() {
    let mut bench = Bench::new(Alarm { delay: Duration::from_secs(2), ..limits() });
    let cause = bench.now.wall;
    bench.input(Value::Double(91.0), StatusCode::Good);
    bench.wait(Duration::from_millis(2500));
    let events = bench.events();
    let event = &events[0].state;
    assert_eq!((event.time, event.receive_time), (cause.plus(Duration::from_secs(2)), bench.now.wall));
    assert_eq!(&*event.message, "at 91");
    bench.step("92").expect("a value");
    bench.step("50").expect("a value");
    let events = bench.events();
    assert_eq!(&*events[0].state.message, "at 91", "on return the message is that of the activation");
}

#[test]
fn a_bad_tag_holds_the_state_and_stops_the_timers() {
    let rule = Alarm { delay: Duration::from_secs(2), ..limits() };
    check(
        rule,
        &[
            ("91", ""),
            ("wait 1", ""),
            ("bad", ""), // not retained: nobody is told
            ("wait 5", ""),
            ("91", ""),
            ("wait 2", "A-CR High 600"),
            ("bad", "A-CR High 600 bad"),
            ("off", ""), // the same class of quality
            ("uncertain 91", "A-CR High 600 uncertain"),
            ("ack", "AKCR High 600 uncertain"),
            ("NaN", "AKCR High 600"), // Good, but no reason to clear
            ("uncertain 50", "-KC- 600 uncertain"),
            ("bad", ""),
        ],
    );
}

#[test]
fn a_loss_that_is_reported_is_another_activation_than_the_limit_after_it() {
    let rule = Alarm { alarms_on_bad: true, ..limits() };
    let mut bench = Bench::new(rule.clone());
    bench.step("bad").expect("a sample");
    assert_eq!(&*bench.events()[0].state.message, "bad: plc1 is silent");
    check(
        rule,
        &[
            ("off", ""), // out of service on purpose
            ("91", "A-CR High 600"),
            ("ack", "AKCR High 600"),
            ("bad", "A-CR Bad 600 bad"),
            ("ack", "AKCR Bad 600 bad"),
            ("91", "A-CR High 600"), // nobody has seen it yet
            ("ack 3", "BadEventIdUnknown"),
            ("bad", "A-CR Bad 600 bad"),
            ("50", "--CR 600"),
        ],
    );
}

#[test]
fn a_latched_alarm_remains_until_its_reset() {
    let rule = Alarm { is_latched: true, needs_confirm: true, ..off_normal() };
    check(
        rule,
        &[
            ("reset", "BadInvalidState"),
            ("1", "A-CR Whole 600 latched"),
            ("reset", "BadInvalidState"),
            ("0", "--CR 600 latched"),
            ("reset", "BadInvalidState"),
            ("ack", "-K-R 600 latched"),
            ("reset", "BadInvalidState"),
            ("confirm", "-KCR 600 latched"),
            ("reset", "-KC- 600"),
            ("reset", "BadInvalidState"),
        ],
    );
    check(off_normal(), &[("reset", "BadMethodInvalid"), ("1", "A-CR Whole 600"), ("confirm", "BadMethodInvalid")]);
}

#[test]
fn acts_are_refused_with_the_status_of_the_specification() {
    let rule = Alarm { needs_confirm: true, ..off_normal() };
    check(
        rule,
        &[
            ("ack unknown", "BadEventIdUnknown"),
            ("enable", "BadConditionAlreadyEnabled"),
            ("1", "A-CR Whole 600"),
            ("confirm", "BadConditionBranchAlreadyConfirmed"),
            ("comment unknown", "BadEventIdUnknown"),
            ("comment 0", "A-CR Whole 600"),
            ("ack 0", "AK-R Whole 600"),
            ("ack 0", "BadConditionBranchAlreadyAcked"),
            ("confirm 0", "AKCR Whole 600"),
            ("confirm 0", "BadConditionBranchAlreadyConfirmed"),
            ("comment 0", "AKCR Whole 600"),
            ("disable", "-KC- 600 disabled"),
            ("disable", "BadConditionAlreadyDisabled"),
            ("ack 0", "BadConditionDisabled"),
            ("confirm 0", "BadConditionDisabled"),
            ("comment 0", "BadConditionDisabled"),
            ("shelve 5", "BadConditionDisabled"),
            ("oneshot", "BadConditionDisabled"),
            ("unshelve", "BadConditionDisabled"),
            ("reset", "BadConditionDisabled"),
            ("0", ""),
            ("1", ""),
            ("enable", "A-CR Whole 600"), // evaluated again
            ("ack 0", "BadEventIdUnknown"),
        ],
    );
}

#[test]
fn shelving_ends_by_its_time_its_operator_or_the_return_to_normal() {
    check(
        off_normal(),
        &[
            ("0", ""),
            ("unshelve", "BadConditionNotShelved"),
            ("shelve 0", "BadShelvingTimeOutOfRange"),
            ("shelve -1", "BadShelvingTimeOutOfRange"),
            ("shelve NaN", "BadShelvingTimeOutOfRange"),
            ("shelve 3600001", "BadShelvingTimeOutOfRange"),
            ("shelve 2000", "-KC- 600 shelved"),
            ("shelve 2000", "BadConditionAlreadyShelved"),
            ("1", "A-CR Whole 600 shelved"), // the state is told all the same
            ("wait 1.9", ""),
            ("wait 0.1", "A-CR Whole 600"),
            ("oneshot", "A-CR Whole 600 shelved"),
            ("oneshot", "BadConditionAlreadyShelved"),
            ("shelve 1000", "A-CR Whole 600 shelved"),
            ("unshelve", "A-CR Whole 600"),
            ("oneshot", "A-CR Whole 600 shelved"),
            ("0", "--CR 600"),
            ("oneshot", "--CR 600 shelved"),
            ("wait 3600", "--CR 600"),
        ],
    );
    let rule = Alarm { shelve: None, ..off_normal() };
    check(rule, &[("shelve 1", "BadMethodInvalid"), ("oneshot", "BadMethodInvalid"), ("unshelve", "BadMethodInvalid")]);
}

#[test]
fn suppression_and_the_lack_of_an_acknowledgement_leave_the_other_states_alone() {
    let rule = Alarm { needs_ack: false, ..off_normal() };
    check(
        rule,
        &[
            ("1", "AKCR Whole 600"),
            ("suppress on", "AKCR Whole 600 suppressed"),
            ("suppress on", ""),
            ("0", "-KC- 600 suppressed"),
            ("suppress off", "-KC- 600"),
        ],
    );
}
