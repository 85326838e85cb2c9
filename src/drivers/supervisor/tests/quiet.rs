//! Quiet closes, silence that one class notices for all, reads after writes, and plans that a link can't keep.

use super::*;
use crate::health::State;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_device_that_closes_a_quiet_connection_is_asked_at_each_poll_and_stays_good() {
    let rig = Rig::start(&[&[POLL, POLL]], true);
    rig.script.set(0, Does::AnswerOnce);
    rig.script.set(1, Does::AnswerOnce);
    pass(POLL).await;
    for _ in 0..300 {
        pass(POLL / 2).await;
        assert_eq!([rig.status(0), rig.status(1)], [StatusCode::Good; 2]);
    }
    let now = rig.health.snapshot();
    assert_eq!((now.errors, now.overruns, now.last_error.as_str()), (0, 0, ""));
    let connects = rig.script.times(Event::Connect).len();
    assert!((300..=310).contains(&connects), "one connection a request: {connects}");
    assert_eq!(rig.write(0).await, StatusCode::Good);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_device_that_closes_without_any_answer_is_tried_after_a_back_off() {
    let rig = Rig::start(&[&[POLL]], true);
    rig.script.set(0, Does::Close);
    pass(Duration::from_secs(200)).await;
    let waits = gaps(&rig.script.times(Event::Connect));
    assert!((9..=14).contains(&waits.len()), "{waits:?}");
    assert!(rig.status(0).is_bad());
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_block_at_which_a_device_closes_costs_its_neighbours_little_and_is_no_hot_loop() {
    let rig = Rig::start(&[&[POLL, POLL]], true);
    pass(SECOND).await;
    rig.script.set(1, Does::Close);
    pass(SECOND * 100).await;
    let connects = rig.script.times(Event::Connect).len();
    assert!(connects < 2_100, "at most two a poll: {connects}");
    assert!(rig.script.times(Event::Read(0)).len() > 900, "{}", rig.script.times(Event::Read(0)).len());
    assert_eq!((rig.status(0), rig.status(1)), (StatusCode::Good, StatusCode::BadNoCommunication));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_link_that_has_answered_is_opened_again_without_a_back_off() {
    let rig = Rig::start(&[&[POLL]], true);
    pass(SECOND).await;
    for _ in 0..20 {
        rig.script.set(0, Does::Lose);
        let before = rig.script.times(Event::Connect).len();
        while rig.script.times(Event::Connect).len() == before {
            pass(Duration::from_millis(1)).await;
        }
        rig.script.set(0, Does::Answer);
        pass(POLL * 2).await;
        assert_eq!(rig.status(0), StatusCode::Good);
    }
    rig.end().await;
}

/// The first tag is polled often, the second once in 20 s; both may be 0.5 s old.
#[tokio::test(start_paused = true)]
async fn silence_that_one_class_notices_counts_for_the_tags_of_all() {
    for does in [Does::Silent, Does::Lose] {
        let rig = Rig::start(&[&[POLL, SECOND * 20], &[SECOND * 20]], true);
        pass(SECOND).await;
        rig.script.set(0, does);
        rig.script.set(1, does);
        *rig.script.reachable.lock() = does != Does::Lose;
        pass(STALE + POLL * 2).await;
        let neighbour = if does == Does::Lose { StatusCode::BadNoCommunication } else { StatusCode::Good };
        let code = if does == Does::Lose { StatusCode::BadNoCommunication } else { StatusCode::BadTimeout };
        assert_eq!([rig.status(0), rig.status(1), rig.status(2)], [code, code, neighbour], "{does:?}");

        rig.script.set(0, Does::Answer);
        rig.script.set(1, Does::Answer);
        *rig.script.reachable.lock() = true;
        let began = Instant::now();
        while rig.status(0) != StatusCode::Good {
            pass(Duration::from_millis(1)).await;
            assert!(began.elapsed() < SECOND * 12, "{does:?}: the fast class is back");
        }
        pass(POLL).await;
        assert_eq!(rig.status(1), StatusCode::Good, "{does:?}: the slow class is read at once");
        rig.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_lost_reply_costs_a_slow_class_nothing() {
    let rig = Rig::start(&[&[POLL, SECOND * 20]], true);
    pass(SECOND).await;
    rig.script.set(0, Does::Silent);
    pass(POLL).await;
    rig.script.set(0, Does::Answer);
    for _ in 0..100 {
        pass(POLL / 10).await;
        assert_eq!(rig.status(1), StatusCode::Good);
    }
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_write_its_block_is_read_once_and_at_once() {
    let rig = Rig::start(&[&[SECOND * 10, SECOND * 10]], true);
    pass(SECOND).await;
    let reads = |point| rig.script.times(Event::Read(point)).len();
    assert_eq!((reads(0), reads(1)), (1, 1));
    let write = |tag| Write { tag: TagId(tag), value: Value::UInt16(1), first: None, revision: 0 };
    let answer = rig.tags.enqueue(ConnectionIx(0), vec![write(0), write(0), write(0)], SECOND).expect("a place");
    assert_eq!(answer.await.expect("an answer"), [StatusCode::Good; 3]);
    pass(Duration::from_millis(10)).await;
    assert_eq!((reads(0), reads(1)), (2, 1), "one read of its block, none of the other");
    pass(SECOND * 8).await;
    assert_eq!((reads(0), reads(1)), (2, 1));
    pass(SECOND).await;
    assert_eq!((reads(0), reads(1)), (3, 2), "the scan keeps its time");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_link_that_cannot_keep_its_plan_says_by_how_much_and_a_tag_not_yet_asked_waits() {
    let polls = [POLL; 40];
    let rig = Rig::start(&[&polls], false);
    for point in 0..40 {
        rig.script.set(point, Does::AnswerAfter(Duration::from_millis(50)));
    }
    *rig.script.reachable.lock() = true;
    pass(SECOND).await;
    let last = rig.status(39);
    assert!(last == StatusCode::BadWaitingForInitialData || last == StatusCode::BadNotConnected, "{last}");
    pass(SECOND * 10).await;
    let load = rig.health.snapshot().load;
    assert!((1_900.0..2_100.0).contains(&load), "400 requests/s of 50 ms each: {load} %");
    for point in 0..40 {
        rig.script.set(point, Does::Answer);
    }
    pass(SECOND * 10).await;
    let load = rig.health.snapshot().load;
    assert!((35.0..45.0).contains(&load), "400 requests/s of 1 ms each: {load} %");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_was_never_asked_is_not_timed_out() {
    let polls = [POLL; 40];
    let rig = Rig::start(&[&polls], true);
    for point in 0..40 {
        rig.script.set(point, Does::AnswerAfter(Duration::from_millis(50)));
    }
    pass(STALE * 3).await;
    assert_eq!(rig.status(39), StatusCode::BadWaitingForInitialData);
    pass(SECOND).await;
    assert_eq!(rig.status(39), StatusCode::Good);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_has_a_state_and_an_error_of_its_own_and_is_silent_until_it_answers() {
    let rig = Rig::start(&[&[POLL], &[POLL]], true);
    pass(SECOND).await;
    let of = |connection| rig.health.of(ConnectionIx(connection)).expect("on this link");
    rig.script.set(0, Does::Silent);
    pass(SECOND).await;
    assert_eq!((of(0).state, of(1).state), (State::Silent, State::Connected));
    assert_eq!((of(0).last_error.as_str(), of(1).last_error.as_str()), ("no reply within 80 ms", ""));
    assert_eq!((of(0).errors, of(0).timeouts, of(1).errors), (3, 3, 0));
    rig.script.set(1, Does::Silent);
    for _ in 0..1_000 {
        pass(POLL).await;
        assert_eq!(of(0).state, State::Silent, "also while the link is opened again");
    }
    assert_eq!(of(1).state, State::Silent);
    rig.script.set(0, Does::Answer);
    pass(LONGEST * 2).await;
    assert_eq!((of(0).state, of(1).state), (State::Connected, State::Silent));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_writes_without_a_pause_leaves_the_scans_their_turn() {
    let rig = Rig::start(&[&[POLL, POLL]], true);
    pass(SECOND).await;
    rig.script.set(0, Does::AnswerAfter(Duration::from_millis(5)));
    let (before, began) = (rig.script.times(Event::Read(1)).len(), Instant::now());
    while began.elapsed() < SECOND * 4 {
        assert_eq!(rig.write(0).await, StatusCode::Good);
    }
    // The other tag is still read at its period, or nearly so.
    let reads = rig.script.times(Event::Read(1)).len() - before;
    assert!(reads >= 30, "{reads} reads in 4 s");
    assert_eq!(rig.status(1), StatusCode::Good);
    rig.end().await;
}
