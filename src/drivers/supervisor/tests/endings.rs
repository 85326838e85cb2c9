//! Connections and outputs that a change removes, and changes that a stop or a panic interrupts.

use super::plans::{Dev, Pt, Site, dev, pt};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn output(tag: u32) -> Pt {
    Pt { on_stop: true, ..pt(tag, POLL) }
}

fn writes(site: &Site, tag: u32) -> usize {
    site.script.times(Event::Write(tag)).len()
}

#[tokio::test(start_paused = true)]
async fn a_removed_output_is_written_once_and_a_changed_one_is_not() {
    let other = Pt { address: "moved".into(), ..output(1) };
    let mut site = Site::start(&[dev(0, &[output(0), output(1), output(2)])], true);
    pass(SECOND).await;
    site.change(&[dev(0, &[other.clone(), output(2)])]);
    pass(SECOND).await;
    assert_eq!((writes(&site, 0), writes(&site, 1), writes(&site, 2)), (1, 0, 0));
    assert_eq!((site.reports(), site.connects()), (vec![(0, true)], 1));
    assert_eq!(site.claimed(), [1, 2].into());
    assert_eq!(site.end().await, [(1, true), (2, true)], "the others come with the end of the link");
}

#[tokio::test(start_paused = true)]
async fn a_removed_output_of_a_lost_link_gets_one_attempt_and_is_reported() {
    let mut site = Site::start(&[dev(0, &[pt(0, POLL), output(1), output(2)])], false);
    pass(SECOND * 100).await;
    let connects = site.connects();
    site.change(&[dev(0, &[pt(0, POLL)])]);
    pass(POLL).await;
    assert_eq!(site.reports(), [(1, false), (2, false)]);
    assert_eq!((site.connects() - connects, site.claimed()), (1, [0].into()));
    *site.script.reachable.lock() = true;
    site.change(&[dev(0, &[pt(0, POLL), output(1)])]);
    site.change(&[dev(0, &[pt(0, POLL), output(1)])]);
    pass(POLL).await;
    site.change(&[dev(0, &[pt(0, POLL)])]);
    pass(POLL).await;
    assert_eq!((site.reports(), site.status(0)), (vec![(1, true)], StatusCode::Good), "and the link is open with it");
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_device_that_does_not_answer_is_asked_for_one_of_its_removed_outputs() {
    for (answer, attempts) in [(StatusCode::BadTimeout, 1), (StatusCode::BadNotWritable, 2)] {
        let mut site = Site::start(&[dev(0, &[pt(0, POLL), output(1), output(2)])], true);
        pass(SECOND).await;
        *site.script.written.lock() = answer;
        site.change(&[dev(0, &[pt(0, POLL)])]);
        pass(SECOND).await;
        assert_eq!(site.reports(), [(1, false), (2, false)], "{answer}");
        assert_eq!(writes(&site, 1) + writes(&site, 2), attempts, "{answer}");
        site.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_leaves_a_shared_link_leaves_its_outputs_in_order() {
    let mut site = Site::start(&[dev(0, &[output(0)]), Dev { unit: 2, ..dev(0, &[output(1)]) }], true);
    pass(SECOND).await;
    site.change(&[dev(0, &[output(0)])]);
    pass(SECOND).await;
    assert_eq!((site.reports(), site.connects()), (vec![(1, true)], 1));
    assert_eq!(site.end().await, [(0, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_disabled_ends_in_order_and_one_that_is_enabled_starts() {
    let of = |enabled| [Dev { enabled, ..dev(0, &[output(0)]) }, dev(1, &[pt(1, POLL)])];
    let mut site = Site::start(&of(true), true);
    pass(SECOND).await;
    let old = Arc::clone(&site.health[0]);
    site.change(&of(false));
    assert_eq!(site.send(0, 0).expect_err("detached"), StatusCode::BadNotConnected);
    pass(POLL).await;
    assert_eq!((site.reports(), site.claimed(), site.health.len()), (vec![(0, true)], [1].into(), 1));
    assert_eq!(old.connections, [ConnectionIx(0)]);
    // While its link still ends, the new one waits: the device takes one connection.
    site.change(&of(true));
    pass(SECOND).await;
    *site.script.writing.lock() = SECOND;
    site.change(&of(false));
    site.change(&of(true));
    let connects = site.connects();
    pass(Duration::from_millis(900)).await;
    assert_eq!(site.connects(), connects);
    pass(SECOND).await;
    assert_eq!((site.connects(), site.status(0)), (connects + 1, StatusCode::Good));
    assert_eq!((site.reports(), site.claimed()), (vec![(0, true)], [0, 1].into()));
    *site.script.writing.lock() = Duration::ZERO;
    assert_eq!(site.end().await, [(0, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_settings_writes_no_output() {
    let mut site = Site::start(&[dev(0, &[output(0)])], true);
    pass(SECOND).await;
    for dev in [Dev { unit: 2, ..dev(0, &[output(0)]) }, dev(1, &[output(0)])] {
        site.change(&[dev]);
        pass(SECOND).await;
    }
    assert_eq!((site.reports(), writes(&site, 0), site.connects()), (vec![], 0, 3));
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_joins_another_link_takes_its_claim_along_and_writes_no_output() {
    let mut site = Site::start(&[dev(0, &[output(0)]), dev(1, &[output(1)])], true);
    pass(SECOND).await;
    site.change(&[dev(0, &[output(0)]), Dev { unit: 2, ..dev(0, &[output(1)]) }]);
    assert_eq!(site.claimed(), [0, 1].into());
    pass(SECOND).await;
    assert_eq!((site.claimed(), site.connects(), site.health.len()), ([0, 1].into(), 2, 1));
    assert_eq!((site.status(1), site.reports()), (StatusCode::Good, vec![]));
    let moved = site.health[0].of(ConnectionIx(1)).expect("it is there");
    assert_eq!(moved.state, health::State::Connected);
    assert!(moved.requests > 15, "its counts came along: {}", moved.requests);
    assert_eq!(site.end().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stop_during_a_change_leaves_every_output_with_its_value() {
    let mut site = Site::start(&[dev(0, &[output(0), output(1), output(2)])], true);
    pass(SECOND).await;
    *site.script.writing.lock() = Duration::from_millis(500);
    // Two are removed, one is added; the stop comes while the first is being written.
    site.change(&[dev(0, &[output(2), output(3)])]);
    pass(Duration::from_millis(700)).await;
    let reports = site.end().await;
    let mut tags: Vec<u32> = reports.iter().map(|(tag, _)| *tag).collect();
    tags.sort_unstable();
    assert_eq!(tags, [0, 1, 2, 3], "each is reported once");
    assert!(reports.iter().all(|(_, is_written)| *is_written), "{reports:?}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_during_a_change_costs_a_back_off_and_the_new_plans_hold() {
    let mut site = Site::start(&[dev(0, &[pt(0, POLL), output(1)]), dev(1, &[pt(2, POLL)])], true);
    pass(SECOND).await;
    *site.script.adopts.lock() = None;
    site.change(&[dev(0, &[pt(0, POLL), pt(3, POLL)]), dev(1, &[pt(2, POLL)])]);
    pass(POLL).await;
    for tag in [0, 3] {
        assert_eq!(site.status(tag), StatusCode::BadInternalError);
    }
    assert_eq!((site.status(2), site.reports()), (StatusCode::Good, vec![(1, true)]));
    assert_eq!(site.claimed(), [0, 2, 3].into());
    let read = site.reads(1).len();
    pass(SECOND * 2).await;
    assert_eq!([site.status(0), site.status(3)], [StatusCode::Good; 2]);
    assert_eq!((site.reads(1).len(), site.connects()), (read, 3));
    *site.script.adopts.lock() = Some(true);
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn links_end_when_their_owner_is_dropped_also_in_the_middle_of_a_change() {
    let mut site = Site::start(&[dev(0, &[output(0), output(1)])], true);
    pass(SECOND).await;
    site.change(&[dev(0, &[output(0)])]);
    let Site { links, tasks, tags, mut outputs, .. } = site;
    drop(links);
    for task in tasks {
        task.await.expect("the link ends in good order");
    }
    let next = || outputs.try_recv().ok().map(|output| (output.tag.0, output.result.is_ok()));
    assert_eq!(std::iter::from_fn(next).collect::<Vec<_>>(), [(1, true), (0, true)]);
    assert!(!tags.is_claimed(TagId(0)) && !tags.is_claimed(TagId(1)));
}
