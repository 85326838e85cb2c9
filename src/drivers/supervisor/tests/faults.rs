//! Quality of tags while a device, a place or the link fails.

use super::*;

/// Looks at the tag every millisecond: when it was Good last, and the statuses that came after.
async fn fall(rig: &Rig, tag: u32, until: StatusCode) -> Vec<(Duration, StatusCode)> {
    let began = Instant::now();
    let mut seen = Vec::new();
    while rig.status(tag) != until {
        let status = rig.status(tag);
        if seen.last().is_none_or(|(_, last)| *last != status) {
            seen.push((began.elapsed(), status));
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{seen:?}");
        pass(Duration::from_millis(1)).await;
    }
    seen.push((began.elapsed(), until));
    seen
}

#[tokio::test(start_paused = true)]
async fn a_tag_is_bad_within_a_poll_after_stale_after_whatever_ails_the_link() {
    for (does, code) in [
        (Does::Silent, StatusCode::BadTimeout),
        (Does::Lose, StatusCode::BadNoCommunication),
        (Does::Garble, StatusCode::BadCommunicationError),
        (Does::Refuse(Refusal::Unreachable), StatusCode::BadTimeout),
        (Does::Refuse(Refusal::Busy), StatusCode::BadResourceUnavailable),
        (Does::Refuse(Refusal::Failure), StatusCode::BadDeviceFailure),
        (Does::Refuse(Refusal::Block), StatusCode::BadConfigurationError),
        (Does::Refuse(Refusal::Unsupported), StatusCode::BadConfigurationError),
        (Does::AnswerAfter(Duration::from_secs(3)), StatusCode::BadTimeout),
    ] {
        let rig = Rig::start(&[&[POLL]], true);
        pass(Duration::from_secs(1)).await;
        assert_eq!(rig.status(0), StatusCode::Good);
        rig.script.set(0, does);
        if does == Does::Lose {
            *rig.script.reachable.lock() = false;
        }
        let fall = fall(&rig, 0, code).await;
        let took = fall.last().expect("it ends there").0;
        assert!(took <= STALE + POLL, "{does:?}: {fall:?}");
        let between = fall[..fall.len() - 1].iter().map(|(_, status)| *status);
        let usual = [StatusCode::Good, StatusCode::UncertainLastUsableValue];
        assert!(between.clone().all(|status| usual.contains(&status)), "{does:?}: {fall:?}");
        assert!(rig.tags.with(TagId(0), |sample| sample.value.is_null()), "Bad goes out without a value");
        // And so it stays.
        pass(Duration::from_secs(30)).await;
        assert_eq!(rig.status(0), code, "{does:?}");
        rig.end().await;
    }
}

/// Also where the first request takes longer than a poll, as in a long first scan.
#[tokio::test(start_paused = true)]
async fn a_tag_without_a_value_keeps_its_reason_until_its_request_has_an_outcome() {
    for (reachable, reason) in [(true, StatusCode::BadWaitingForInitialData), (false, StatusCode::BadNotConnected)] {
        let rig = Rig::start(&[&[POLL]], reachable);
        rig.script.set(0, Does::AnswerAfter(POLL * 3));
        if !reachable {
            let lost = fall(&rig, 0, reason).await;
            assert_eq!(lost.len(), 2, "{lost:?}");
            *rig.script.reachable.lock() = true;
        }
        let seen = fall(&rig, 0, StatusCode::Good).await;
        let statuses: Vec<StatusCode> = seen.iter().map(|(_, status)| *status).collect();
        assert_eq!(statuses, [reason, StatusCode::Good]);
        rig.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_a_device_refuses_is_asked_once_a_minute_and_its_neighbour_each_poll() {
    let rig = Rig::start(&[&[POLL, POLL]], true);
    rig.script.set(0, Does::Refuse(Refusal::Block));
    pass(Duration::from_secs(299)).await;
    assert_eq!(rig.script.times(Event::Read(0)).len(), 5);
    assert!(rig.script.times(Event::Read(1)).len() > 2_900);
    assert_eq!((rig.status(0), rig.status(1)), (StatusCode::BadConfigurationError, StatusCode::Good));
    rig.script.set(0, Does::Answer);
    pass(Duration::from_secs(61)).await;
    assert_eq!(rig.status(0), StatusCode::Good, "its program may have changed");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_always_answered_wrongly_rests_and_does_not_slow_its_neighbour() {
    let rig = Rig::start(&[&[POLL, POLL]], true);
    rig.script.set(0, Does::Garble);
    pass(Duration::from_secs(300)).await;
    let asked = rig.script.times(Event::Read(0)).len();
    assert!((6..=9).contains(&asked), "three times, then after 10 s, 20 s, 40 s ...: {asked}");
    assert!(rig.script.times(Event::Read(1)).len() > 2_900);
    assert_eq!((rig.status(0), rig.status(1)), (StatusCode::BadCommunicationError, StatusCode::Good));
    rig.end().await;
}
