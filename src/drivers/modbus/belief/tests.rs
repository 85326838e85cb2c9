//! Rules of the line: late replies, second copies, echoes and refusals.

use super::*;

const NONE: Duration = Duration::ZERO;

fn read(start: u16, count: u16) -> Request<'static> {
    Request::Read { area: Area::Holding, start, count }
}

fn line() -> (Belief, Instant) {
    (Belief::new(EchoSetting::Absent, false), Instant::now())
}

fn is_asked_as_it_is(belief: &mut Belief, unit: u8, request: &Request<'_>, now: Instant) -> bool {
    belief.next(unit, request, 8, now) == Next::Ask { more: 0 }
}

#[test]
fn only_a_request_that_a_late_reply_fits_is_not_asked_as_it_is() {
    let (mut belief, now) = line();
    belief.sent(1, &read(0, 10), now);
    for (unit, request, is_clear) in [
        (1, read(500, 10), false),
        (1, read(0, 11), true),
        (2, read(0, 10), true),
        (1, Request::Read { area: Area::Input, start: 0, count: 10 }, true),
        (1, Request::WriteRegister { at: 0, word: 1 }, true),
    ] {
        assert_eq!(is_asked_as_it_is(&mut belief, unit, &request, now), is_clear, "{unit} {request:?}");
    }
    assert_eq!(belief.next(1, &read(500, 10), 8, now), Next::Ask { more: 1 });
    assert_eq!(belief.next(1, &read(500, 10), 0, now), Next::Question(read(500, 1)));
    belief.replied(1, &read(0, 11), NONE, now);
    assert!(is_asked_as_it_is(&mut belief, 1, &read(0, 10), now));
}

#[test]
fn a_new_connection_keeps_outstanding_requests() {
    let (mut belief, now) = line();
    belief.sent(1, &read(0, 10), now);
    belief.connected(None);
    assert!(!is_asked_as_it_is(&mut belief, 1, &read(3, 10), now));
}

#[test]
fn an_exception_ends_the_oldest_request_of_its_function_only() {
    let (mut belief, now) = line();
    for request in [read(0, 10), read(0, 20), read(0, 30)] {
        belief.sent(1, &request, now);
    }
    belief.refused(1, &read(0, 30), 11, NONE, now);
    assert_eq!(belief.outstanding.len(), 3, "a gateway ends nothing");
    belief.refused(1, &read(0, 30), 2, NONE, now);
    let later = now + Duration::from_secs(1);
    belief.replied(2, &read(0, 1), NONE, later);
    let later = later + Duration::from_secs(1);
    for (count, is_clear) in [(10, true), (20, false), (30, false)] {
        assert_eq!(is_asked_as_it_is(&mut belief, 1, &read(7, count), later), is_clear, "{count}");
    }
}

#[test]
fn two_requests_in_a_row_never_look_alike() {
    let (mut belief, mut now) = line();
    let mut last = u16::MAX;
    for n in 0..100 {
        let Next::Ask { more } = belief.next(1, &read(n * 10, 1), 8, now) else { panic!("no way to ask {n}") };
        assert_ne!(more, last, "{n}");
        last = more;
        let asked = read(n * 10, 1 + more);
        belief.sent(1, &asked, now);
        now += Duration::from_millis(if n % 2 == 0 { 6 } else { 1_000 });
        belief.replied(1, &asked, NONE, now);
    }
}

#[test]
fn where_no_longer_read_is_allowed_a_question_comes_first_and_where_none_is_answered_a_rest() {
    let (mut belief, now) = line();
    let answer = |belief: &mut Belief, request: Request<'_>| {
        belief.sent(1, &request, now);
        belief.replied(1, &request, NONE, now);
    };
    answer(&mut belief, read(0, 4));
    assert_eq!(belief.next(1, &read(9, 4), 0, now), Next::Question(read(9, 1)));
    answer(&mut belief, read(0, 1));
    belief.tried_longer(1, &read(9, 1), Longer::Refused, now);
    assert_eq!(belief.next(1, &read(9, 1), 8, now), Next::Question(read(9, 2)));
    for _ in 0..FAILURES {
        belief.tried_longer(1, &read(9, 1), Longer::Failed, now);
    }
    assert_eq!(belief.next(1, &read(9, 1), 8, now), Next::Rest(now + REPEAT_WITHIN));
    answer(&mut belief, read(0, 2));
    assert_eq!(belief.next(1, &read(7, 1), 0, now), Next::Rest(now + REPEAT_WITHIN), "only the time is missing");
    let later = now + REPEAT_WITHIN;
    assert!(is_asked_as_it_is(&mut belief, 1, &read(7, 1), later), "the copy would have come");
}

#[test]
fn a_copy_may_wait_for_a_new_connection_but_not_for_ever() {
    let (mut belief, now) = line();
    belief.sent(1, &read(0, 1), now);
    belief.replied(1, &read(0, 1), NONE, now);
    belief.connected(None);
    assert_eq!(belief.next(1, &read(5, 1), 0, now), Next::Question(read(5, 2)));
    assert!(is_asked_as_it_is(&mut belief, 1, &read(5, 1), now + FORGOTTEN_AFTER * 2));
}

#[test]
fn a_write_that_repeats_another_is_told_apart_by_a_read_between() {
    let (mut belief, now) = line();
    let write = Request::WriteRegisters { start: 5, words: &[1] };
    belief.sent(1, &write, now);
    belief.replied(1, &write, NONE, now);
    let other = Request::WriteRegisters { start: 6, words: &[1] };
    assert!(is_asked_as_it_is(&mut belief, 1, &other, now), "its reply repeats another place");
    assert_eq!(belief.next(1, &write, 0, now), Next::Question(read(5, 1)));
    belief.replied(1, &read(5, 1), NONE, now);
    assert_eq!(belief.next(1, &write, 0, now), Next::Rest(now + REPEAT_WITHIN));
}

#[test]
fn until_the_echo_is_known_nothing_is_asked_that_it_could_answer() {
    let now = Instant::now();
    let mut belief = Belief::new(EchoSetting::Auto, false);
    let write = Request::WriteCoil { at: 3, on: true };
    let coils = |count| Request::Read { area: Area::Coil, start: 768, count };
    assert_eq!(belief.next(1, &write, 0, now), Next::Question(Request::Read { area: Area::Coil, start: 3, count: 1 }));
    assert_eq!(belief.next(1, &coils(17), 8, now), Next::Ask { more: 8 });
    assert_eq!(belief.next(1, &coils(17), 0, now), Next::Question(coils(1)));
    assert!(is_asked_as_it_is(&mut belief, 1, &coils(16), now));
    for echo in [Echo::Present, Echo::Absent] {
        belief.learn(echo);
        assert!(is_asked_as_it_is(&mut belief, 1, &write, now) && is_asked_as_it_is(&mut belief, 1, &coils(17), now));
    }
    belief.connected(Some(now));
    assert!(is_asked_as_it_is(&mut belief, 1, &write, now), "the adaptor is the same");
    belief.connected(now.checked_sub(ADAPTOR_KEPT));
    assert!(!is_asked_as_it_is(&mut belief, 1, &write, now), "it may be another");
}

#[test]
fn a_unit_that_never_answers_always_has_a_question_left() {
    let (mut belief, now) = line();
    for n in 0..1_000 {
        let question = belief.question(1, &read(3, 2));
        assert!(belief.is_free(1, &question), "{n}: {question:?}");
        belief.sent(1, &question, now);
    }
    assert!(belief.outstanding.len() <= MAX_OUTSTANDING);
    let end = belief.question(1, &read(u16::MAX, 1));
    assert!(matches!(end, Request::Read { start, count, .. } if u32::from(start) + u32::from(count) <= 65_536));
}
