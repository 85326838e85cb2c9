//! Restarts, reloads, comments and floods.

use super::*;

#[test]
fn a_restart_with_the_same_state_is_no_event_and_with_another_one_it_is() {
    check(
        Alarm { shelve: Some(Duration::from_secs(10)), ..limits() },
        &[
            ("91", "A-CR High 600"),
            ("ack", "AKCR High 600"),
            ("restart", ""),
            ("off", ""),
            ("89.5", ""), // inside the hysteresis, as before
            ("ack 0", "BadConditionBranchAlreadyAcked"),
            ("shelve 5000", "AKCR High 600 shelved"),
            ("restart", ""),
            ("wait 4.9", ""),
            ("wait 0.2", "AKCR High 600 bad"),
            ("50", "-KC- 600"),
            ("restart", ""),
            ("96", "A-CR HighHigh 800"),
            ("restart", ""),
            ("ack 5", "AKCR HighHigh 800 bad"), // the event of the run before
            ("disable", "-KC- 800 disabled bad"),
            ("restart", ""),
            ("96", ""),
            ("enable", "A-CR HighHigh 800"),
        ],
    );
}

#[test]
fn a_reload_keeps_the_state_and_evaluates_the_new_limits() {
    let mut bench = Bench::new(limits());
    let rule = |high: f64| {
        let mut rule = limits();
        let AlarmForm::Limits(of) = &mut rule.form else { unreachable!("it has limits") };
        of.at[2] = Some(AlarmLimit { at: high, severity: None, message: None });
        rule
    };
    let reload = |bench: &mut Bench, rule: Option<Alarm>| {
        let plant = rule.map_or_else(Plant::default, plant);
        let changed = bench.alarms.apply(&plant, |_| None, bench.now).has_changed;
        (changed, bench.events().iter().map(text).collect::<Vec<_>>().join("; "))
    };
    bench.step("91").expect("a value");
    bench.step("ack").unwrap_or_default();
    bench.events();
    assert_eq!(reload(&mut bench, Some(limits())), (false, String::new()), "nothing differs");
    assert_eq!(reload(&mut bench, Some(rule(80.0))), (true, String::new()));
    assert_eq!(reload(&mut bench, Some(rule(92.5))), (true, "--CR 600".into()));
    assert_eq!(reload(&mut bench, Some(Alarm { needs_ack: false, ..limits() })).1, "AKCR High 600");
    assert_eq!(
        reload(&mut bench, None),
        (true, "-KC- 600 disabled".replace("-KC-", "AKC-").replace(" 600", " High 600"))
    );
    assert!(bench.alarms.get(ALARM).is_none() && bench.alarms.due().is_none());
    assert_eq!(bench.act(&Act::Enable, None), Err(StatusCode::BadNodeIdUnknown));
}

#[test]
fn a_comment_is_kept_replaced_or_cleared_by_its_text_and_locale() {
    let mut bench = Bench::new(off_normal());
    bench.step("1").expect("a value");
    let words = |locale: &str, text: &str| Words { locale: locale.into(), text: text.into() };
    let long = "x".repeat(1_024);
    for (given, status, comment) in [
        (words("en", "seen"), Ok(()), "seen"),
        (words("", ""), Ok(()), "seen"),
        (words("en", ""), Ok(()), ""),
        (words("", &long), Ok(()), long.as_str()),
        (words("", &format!("{long}x")), Err(StatusCode::BadOutOfRange), long.as_str()),
    ] {
        let done = bench.act(&Act::AddComment(EventName::Present), Some(&given));
        let state = bench.alarms.get(ALARM).expect("it is there").state();
        assert_eq!((done, &*state.comment.text, &*state.client_user), (status, comment, "anna"));
    }
}

#[test]
fn a_flood_sends_its_newest_state_once_a_second_until_it_was_quiet_for_10_s() {
    let mut bench = Bench::new(Alarm { needs_ack: false, ..off_normal() });
    let mut sent = Vec::new();
    for n in 0..60 {
        bench.step(if n % 2 == 0 { "1" } else { "0" }).expect("a value");
        sent.push(bench.events().len());
        bench.wait(Duration::from_millis(100));
        sent.push(bench.events().len());
    }
    assert_eq!(sent[..40].iter().sum::<usize>(), 20);
    assert_eq!(sent[40..].iter().sum::<usize>(), 4, "4 s at one a second");
    bench.wait(Duration::from_secs(1));
    assert_eq!(bench.events().iter().map(text).collect::<Vec<_>>(), ["-KC- 600"], "the newest");
    bench.wait(Duration::from_secs(10));
    bench.step("1").expect("a value");
    assert_eq!(bench.events().len(), 1, "it is over");
    assert!(bench.alarms.due().is_none());
}

#[test]
fn the_kept_state_of_a_rule_that_has_lost_a_level_has_it_not() {
    let mut bench = Bench::new(limits());
    bench.step("96").expect("a value");
    bench.restart(Some(off_normal()));
    let state = bench.alarms.get(ALARM).expect("it is there").state();
    assert!(!state.is_active() && !state.acked, "its operator still has to acknowledge what was");
    let bench = Bench::new(Alarm { enabled: false, ..limits() });
    assert!(bench.alarms.kept(bench.now).next().is_none(), "a first state is not kept");
    assert!(!bench.alarms.get(ALARM).expect("it is there").state().enabled);
}

/// `Arc`s of one text are compared by their text.
#[test]
fn the_event_of_an_act_names_its_user() {
    let mut bench = Bench::new(off_normal());
    bench.step("1").expect("a value");
    bench.events();
    let words = Words { locale: Arc::from("en"), text: Arc::from("on my way") };
    let id = EventName::Id(*bench.seen.last().expect("an event"));
    bench.act(&Act::Acknowledge(id), Some(&words)).expect("it is known");
    let events = bench.events();
    let state = &events[0].state;
    assert_eq!((&*state.comment.text, &*state.client_user), ("on my way", "anna"));
}
