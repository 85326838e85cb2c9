//! Reads out of turn, and checks of tags.

use super::*;

#[tokio::test(start_paused = true)]
async fn all_items_of_a_tag_are_read_again_in_a_round_of_their_own_and_its_parts_are_looked_after() {
    let item = |request: u32, tag: u32| Item::new(RequestIx(request), 0, vec![TagId(tag)]);
    let (now, second) = (Instant::now(), Duration::from_secs(1));
    let mut schedule = Schedule::new(1);
    let items = vec![item(0, 7), item(10, 8), item(20, 7)];
    schedule.add(ClassPlan { period: second, stale_after: second * 3, items }, now);
    let mut ended = Vec::new();
    let mut read = |schedule: &mut Schedule| {
        let Step::Read(at) = schedule.step(now, &mut ended) else { panic!("something is due") };
        schedule.answered(at, now);
        let item = schedule.item(at);
        (item.request.0, item.round)
    };
    let scan = read(&mut schedule);
    assert_eq!((scan.0, scan.1.is_extra), (0, false));
    schedule.read_again(&HashSet::from([TagId(7)]));
    let turns: Vec<(u32, Round)> = (0..4).map(|_| read(&mut schedule)).collect();
    let again: Vec<&(u32, Round)> = turns.iter().filter(|(_, round)| round.is_extra).collect();
    assert_eq!(again.iter().map(|(start, _)| *start).collect::<Vec<_>>(), [0, 20]);
    assert_eq!(again[0].1, again[1].1);
    let goes_on: Vec<u32> = turns.iter().filter(|(_, round)| *round == scan.1).map(|(start, _)| *start).collect();
    assert_eq!(goes_on, [10, 20], "the scan goes on");
    let mut parts = Vec::new();
    schedule.sweep(now + second * 2, true, |aged| parts.push((aged.item.request.0, aged.parts)));
    assert_eq!(parts, [(0, vec![TagId(7)]), (10, vec![]), (20, vec![TagId(7)])]);
}

/// Requests that are read until the schedule waits.
fn requests(schedule: &mut Schedule, now: Instant) -> Vec<u32> {
    let mut seen = Vec::new();
    while let Step::Read(at) = schedule.step(now, &mut Vec::new()) {
        seen.push(schedule.item(at).request.0);
        schedule.answered(at, now);
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn other_points_keep_the_grid_the_cuts_and_the_rests_of_those_that_stay() {
    let item = |request: u32, tags: &[u32]| Item::new(RequestIx(request), 0, tags.iter().copied().map(TagId).collect());
    let (start, second) = (Instant::now(), Duration::from_secs(1));
    let class = |items| ClassPlan { period: second, stale_after: second * 3, items };
    let mut schedule = Schedule::new(1);
    schedule.add(class(vec![item(0, &[1, 2]), item(1, &[4])]), start);
    let Step::Read(at) = schedule.step(start, &mut Vec::new()) else { panic!("it is due") };
    assert!(schedule.cut(at, |_| Some([item(10, &[1]), item(11, &[2])])));
    let Step::Read(first) = schedule.step(start, &mut Vec::new()) else { panic!("it is due") };
    schedule.answered(first, start);
    let Step::Read(second_half) = schedule.step(start, &mut Vec::new()) else { panic!("it is due") };
    schedule.refuse(second_half, start);
    schedule.answered(second_half, start);
    // In the middle of the scan tag 3 comes, next to the others.
    let kept = HashSet::from([1, 2, 4].map(TagId));
    let kept = Kept { devices: &[Some(0)], tags: &kept };
    let mut split = |request: RequestIx| (request.0 == 20).then(|| [item(21, &[1, 3]), item(22, &[2])]);
    schedule.replan(vec![class(vec![item(20, &[1, 2, 3]), item(24, &[4])])], &kept, start, &mut split);
    assert_eq!(requests(&mut schedule, start), [21, 24], "the new point and the rest of the scan; tag 2 rests");
    assert!(requests(&mut schedule, start + second / 2).is_empty());
    assert_eq!(requests(&mut schedule, start + second), [21, 24]);
    // Between two scans: the grid stays, and a new point is read at once.
    let now = start + second * 3 / 2;
    let mut none = |_: RequestIx| None;
    schedule.replan(vec![class(vec![item(31, &[1]), item(32, &[2]), item(33, &[5])])], &kept, now, &mut none);
    assert_eq!(requests(&mut schedule, now), [33]);
    assert_eq!(requests(&mut schedule, start + second * 2), [31, 33]);
    assert_eq!(requests(&mut schedule, start + REFUSED_FOR + second), [31, 32, 33], "the rest of tag 2 is over");
    let mut old = 0;
    schedule.sweep(start + REFUSED_FOR + second * 3 / 2, true, |aged| old += u32::from(aged.is_old));
    assert_eq!(old, 0, "no tag grew old by the changes");
}
