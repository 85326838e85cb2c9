//! Plans that change while a link runs: the connection, the phase of untouched points, writes, and settings.

use super::plans::{Site, dev, pt};
use super::*;
use crate::drivers::links::compare_links;
use crate::tags::{Stamp, Turn};

const SECOND: Duration = Duration::from_secs(1);

/// Each time lies on the grid of the first one, and no place of the grid was left out or taken twice.
fn assert_on_grid(times: &[Instant], period: Duration) {
    for (n, time) in (0..).zip(times) {
        let late = time.duration_since(times[0] + period * n);
        assert!(late < Duration::from_millis(8), "read {n} comes {late:?} late: {:?}", gaps(times));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_changes_cost_untouched_points_nothing() {
    let (fast, slow) = (pt(0, POLL), pt(1, SECOND));
    let mut site = Site::start(&[dev(0, &[fast.clone(), slow.clone()])], true);
    pass(Duration::from_millis(1_030)).await;
    let began = Instant::now();
    for n in 0..100_u32 {
        // Added, changed, moved to another class, removed.
        let mut more = pt(2, if n % 4 == 2 { SECOND } else { POLL * 3 });
        more.address = format!("v{}", n % 4);
        let points = if n % 4 == 3 { vec![slow.clone(), fast.clone()] } else { vec![more, fast.clone(), slow.clone()] };
        let read = site.reads(2).len();
        site.change(&[dev(0, &points)]);
        pass(Duration::from_millis(5)).await;
        assert_eq!(site.reads(2).len() - read, usize::from(n % 4 != 3), "a new point is read at once");
        assert_eq!(site.claimed().len(), points.len());
        assert_eq!([site.status(0), site.status(1)], [StatusCode::Good; 2]);
        pass(Duration::from_millis(32)).await;
    }
    let passed = began.elapsed().as_millis() + 1_030;
    assert_eq!(site.connects(), 1);
    assert_on_grid(&site.reads(0), POLL);
    assert_on_grid(&site.reads(1), SECOND);
    assert_eq!(site.reads(0).len() as u128, passed / 100 + 1);
    assert_eq!(site.reads(1).len() as u128, passed / 1_000 + 1);
    let now = site.health[0].snapshot();
    assert_eq!((now.overruns, now.errors, now.reconnects), (0, 0, 0));
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_in_the_middle_of_a_scan_reads_no_point_twice_and_leaves_none_out() {
    let points: Vec<_> = (0..8).map(|tag| pt(tag, SECOND)).collect();
    let mut site = Site::start(&[dev(0, &points)], true);
    (0..8).for_each(|tag| site.script.set(tag, Does::AnswerAfter(Duration::from_millis(20))));
    pass(SECOND * 2 + Duration::from_millis(70)).await;
    // The scan is at its fourth point.
    let mut changed = points.clone();
    changed.remove(1);
    changed.insert(0, pt(9, SECOND));
    changed.remove(6);
    site.change(&[dev(0, &changed)]);
    pass(SECOND * 2 + Duration::from_millis(130)).await;
    for tag in changed.iter().map(|pt| pt.tag).filter(|tag| *tag != 9) {
        let times = site.reads(tag);
        assert_eq!(times.len(), 5, "tag {tag}: {:?}", gaps(&times));
        assert!(gaps(&times).iter().all(|gap| gap.as_millis().abs_diff(1_000) < 100), "{tag}: {:?}", gaps(&times));
    }
    assert_eq!(site.reads(1).len(), 3);
    assert_eq!((site.connects(), site.reads(9).len()), (1, 3));
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_reply_of_a_request_under_way_still_counts_and_the_change_follows() {
    let mut site = Site::start(&[dev(0, &[pt(0, POLL)])], true);
    site.script.set(0, Does::AnswerAfter(Duration::from_millis(60)));
    pass(Duration::from_millis(30)).await;
    assert_eq!(site.status(0), StatusCode::BadWaitingForInitialData);
    // The last of them wins.
    site.change(&[dev(0, &[pt(0, POLL), pt(1, POLL)])]);
    site.change(&[dev(0, &[pt(0, POLL), pt(2, POLL)])]);
    pass(Duration::from_millis(40)).await;
    assert_eq!((site.status(0), site.status(2)), (StatusCode::Good, StatusCode::Good));
    assert_eq!((site.connects(), site.reads(1).len()), (1, 0));
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn in_back_off_a_change_is_taken_at_once_and_does_not_hasten_the_next_attempt() {
    let mut site = Site::start(&[dev(0, &[pt(0, POLL)])], false);
    pass(SECOND * 100).await;
    let connects = site.connects();
    for n in 1..20 {
        site.change(&[dev(0, &[pt(0, POLL), pt(n % 3 + 1, POLL)])]);
        pass(POLL * 2).await;
        assert_eq!(site.status(n % 3 + 1), StatusCode::BadNotConnected);
        assert_eq!(site.claimed().len(), 2);
    }
    assert!(site.connects() - connects <= 1, "{}", site.connects() - connects);
    // Other settings may be the remedy.
    *site.script.reachable.lock() = true;
    let connects = site.connects();
    site.change(&[dev(1, &[pt(0, POLL)])]);
    pass(POLL).await;
    assert_eq!((site.connects() - connects, site.status(0)), (1, StatusCode::Good));
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_device_stays_demoted_and_its_state_and_counts_stay() {
    let two = |points: &[plans::Pt]| [dev(0, &[pt(0, POLL)]), plans::Dev { unit: 2, ..dev(0, points) }];
    let mut site = Site::start(&two(&[pt(1, POLL)]), true);
    site.script.set(0, Does::Silent);
    pass(SECOND * 5).await;
    assert_eq!(site.reads(0).len(), 3);
    let before = site.health[0].of(ConnectionIx(0)).expect("it is there");
    for n in 0..8 {
        site.change(&two(&[pt(1, POLL), pt(2 + n % 2, POLL)]));
        pass(POLL).await;
    }
    assert_eq!(site.reads(0).len(), 3, "asked again after 10 s");
    // A third device comes to the link: the link is another for clients, with the same counts.
    let more = [two(&[pt(1, POLL)]).to_vec(), vec![plans::Dev { unit: 3, ..dev(0, &[pt(4, POLL)]) }]].concat();
    site.change(&more);
    pass(POLL).await;
    let now = site.health[0].of(ConnectionIx(0)).expect("it is there");
    assert_eq!((now.state, now.requests, now.errors), (health::State::Silent, before.requests, before.errors));
    assert_eq!((now.last_error, now.demoted), (before.last_error, 1));
    let third = site.health[0].of(ConnectionIx(2)).expect("it is there");
    assert_eq!((third.state, third.connected_since), (health::State::Connected, now.connected_since));
    pass(SECOND * 10).await;
    assert_eq!((site.reads(0).len(), site.connects()), (4, 1));
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_write_that_waits_during_a_change_is_sent_and_one_to_a_removed_tag_is_refused() {
    let mut site = Site::start(&[dev(0, &[pt(0, POLL), pt(1, POLL)])], true);
    pass(SECOND).await;
    site.script.set(0, Does::AnswerAfter(Duration::from_millis(50)));
    pass(Duration::from_millis(210)).await;
    let (kept, gone) = (site.send(0, 0).expect("a place"), site.send(0, 1).expect("a place"));
    site.change(&[dev(0, &[pt(0, POLL)])]);
    let more = site.send(0, 0).expect("the queue is the same");
    assert_eq!(kept.await.expect("an answer"), [StatusCode::Good]);
    assert_eq!(gone.await.expect("an answer"), [StatusCode::BadNodeIdUnknown]);
    assert_eq!(more.await.expect("an answer"), [StatusCode::Good]);
    assert_eq!((site.script.times(Event::Write(0)).len(), site.script.times(Event::Write(1)).len()), (2, 0));
    assert_eq!(site.connects(), 1);
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn other_settings_open_their_own_link_again_and_no_other() {
    let site_of = |timeout| [plans::Dev { timeout, ..dev(0, &[pt(0, POLL)]) }, dev(1, &[pt(1, POLL)])];
    let mut site = Site::start(&site_of(TIMEOUT), true);
    pass(SECOND).await;
    assert_eq!(site.connects(), 2);
    let requests = site.health[0].snapshot().requests;
    let slower = TIMEOUT * 2;
    site.change(&site_of(slower));
    let waits = site.send(0, 0).expect("the queue is the same");
    assert_eq!(waits.await.expect("an answer"), [StatusCode::Good], "a write waits for the new connection");
    pass(SECOND).await;
    assert_eq!((site.connects(), site.status(0), site.status(1)), (3, StatusCode::Good, StatusCode::Good));
    assert_on_grid(&site.reads(1), POLL);
    assert_eq!(site.script.sockets.lock()[&1], 2, "its connection is the first one");
    let now = site.health[0].snapshot();
    assert!(now.requests > requests && now.errors == 0, "{now:?}");
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_link_of_two_units_stays_open_while_one_of_them_comes_changes_and_goes() {
    let stays = dev(0, &[pt(0, POLL)]);
    let other = |unit, tag| plans::Dev { unit, ..dev(0, &[pt(tag, POLL)]) };
    let mut site = Site::start(std::slice::from_ref(&stays), true);
    let before = site.health[0].of(ConnectionIx(0)).expect("it is there").requests;
    pass(SECOND).await;
    for changed in [vec![other(2, 1)], vec![other(3, 1)], vec![other(3, 2), other(4, 3)], vec![other(4, 3)], vec![]] {
        let devices = [vec![stays.clone()], changed].concat();
        site.change(&devices);
        pass(SECOND).await;
        for dev in &devices {
            assert_eq!(site.status(dev.points[0].tag), StatusCode::Good);
        }
        assert_eq!(site.claimed().len(), devices.len());
        assert_eq!(site.health[0].connections.len(), devices.len());
    }
    assert_eq!(site.send(1, 1).expect_err("no such connection"), StatusCode::BadNotConnected);
    assert_eq!(site.connects(), 1);
    assert_on_grid(&site.reads(0), POLL);
    assert!(site.health[0].of(ConnectionIx(0)).expect("it is there").requests > before + 50);
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn two_connections_that_exchange_their_hosts_never_have_two_sockets_to_one() {
    let mut site = Site::start(&[dev(0, &[pt(0, POLL)]), dev(1, &[pt(1, POLL)])], true);
    pass(SECOND).await;
    site.change(&[dev(1, &[pt(0, POLL)]), dev(0, &[pt(1, POLL)])]);
    pass(SECOND).await;
    assert_eq!((site.connects(), site.health.len()), (4, 2));
    assert_eq!([site.status(0), site.status(1)], [StatusCode::Good; 2]);
    for (ix, link) in (0..).zip(&site.health) {
        assert_eq!(
            (link.connections.as_slice(), link.snapshot().state),
            (&[ConnectionIx(ix)][..], health::State::Connected)
        );
    }
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_cannot_take_over_is_opened_again() {
    let mut site = Site::start(&[dev(0, &[pt(0, POLL)])], true);
    *site.script.adopts.lock() = Some(false);
    pass(SECOND).await;
    site.change(&[dev(0, &[pt(0, POLL), pt(1, POLL)])]);
    pass(SECOND).await;
    assert_eq!((site.connects(), site.status(0), site.status(1)), (2, StatusCode::Good, StatusCode::Good));
    // Without other points nothing has to be taken over.
    site.change(&[dev(0, &[pt(0, POLL), pt(1, POLL)])]);
    pass(SECOND).await;
    assert_eq!(site.connects(), 2);
    site.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_tag_with_another_scale_is_read_at_once_by_the_same_request() {
    let devices = [dev(0, &[pt(0, SECOND * 3_600), pt(1, SECOND * 3_600)])];
    let mut site = Site::start(&devices, true);
    pass(SECOND).await;
    let mut plant = plans::plant_of(&devices.clone().map(Some), 2);
    let scale = Some(crate::model::Scale::Factor { factor: 2.0, offset: 0.0 });
    plant.tags.put(TagId(1), Tag { scale, ..plant.tag(TagId(1)).clone() });
    site.tags.turn(&plant, TagId(1), Turn::Begin, None, Stamp::now());
    site.links.apply(plans::plans_of(&devices.map(Some)), &Arc::new(plant), &mut |_, _| panic!("no link is new"));
    pass(SECOND).await;
    assert_eq!((site.reads(0).len(), site.reads(1).len(), site.connects()), (1, 2, 1));
    assert_eq!(site.tags.with(TagId(1), |sample| sample.value.clone()), Value::UInt16(14));
    site.end().await;
}

#[test]
fn a_comparison_names_each_connection_once() {
    let on = |host, unit| Some(plans::Dev { unit, ..dev(host, &[]) });
    let off = |host| Some(plans::Dev { enabled: false, ..dev(host, &[]) });
    let old = plans::plans_of(&[on(0, 1), on(0, 2), on(1, 1), off(2), on(3, 1), None, on(4, 1)]);
    let new = plans::plans_of(&[on(0, 1), on(0, 3), on(1, 2), on(2, 1), off(3), on(5, 1), on(0, 4)]);
    let changes = compare_links(&old, &new);
    let ixs = |list: &[ConnectionIx]| list.iter().map(|ix| ix.0).collect::<Vec<_>>();
    assert_eq!((ixs(&changes.kept), ixs(&changes.reopened)), (vec![0, 1], vec![2, 6]));
    assert_eq!((ixs(&changes.added), ixs(&changes.removed)), (vec![3, 5], vec![4]));
}
