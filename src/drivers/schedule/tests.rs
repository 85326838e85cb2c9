//! Reads out of turn, and checks of tags.

use super::*;

#[tokio::test(start_paused = true)]
async fn all_items_of_a_tag_are_read_again_in_a_round_of_their_own_and_its_parts_are_looked_after() {
    let item = |request: u32, tag: u32| Item::new(RequestIx(request), 0, vec![TagId(tag)]);
    let (now, second) = (Instant::now(), Duration::from_secs(1));
    let mut schedule = Schedule::new(1);
    schedule.add(second, second * 3, vec![item(0, 7), item(10, 8), item(20, 7)], now);
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
