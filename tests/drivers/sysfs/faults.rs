//! Files that vanish, are cut, hold garbage, change their device and come back: no value of another file or device is ever Good.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opcell::value::Value;

use super::tree::{Tree, start};

/// Faulted changes in CI; `OPCELL_EXCHANGES` sets another number.
const CHANGES: u32 = 2_000;

/// Values of a device are in its own thousand: 4xx00 is of device 4.
fn text(device: u32, n: u32) -> String {
    format!("{}\n", device * 100_000 + n % 1_000 * 10)
}

fn files(device: u32, name: &str, n: u32) -> Vec<(String, String)> {
    vec![("name".to_owned(), format!("{name}\n")), ("temp1_input".to_owned(), text(device, n))]
}

fn load(tree: &Tree, device: u32, number: u32, name: &str, n: u32) {
    let files = files(device, name, n);
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    tree.hwmon(&format!("platform/d{device}"), number, &files);
}

/// One change of the folder; `at` holds the number of each device, while it is there.
fn disturb(tree: &Tree, at: &mut [Option<u32>; 3], n: u32) {
    let device = fastrand::u32(..3);
    let name = ["alpha", "alpha", "beta"][device as usize];
    let place = &mut at[device as usize];
    let Some(number) = *place else {
        let taken = [at[0], at[1], at[2]];
        let free = (0..4).find(|number| !taken.contains(&Some(*number))).expect("four numbers for three devices");
        load(tree, device + 1, free, name, n);
        at[device as usize] = Some(free);
        return;
    };
    let file = format!("class/hwmon/hwmon{number}/temp1_input");
    match fastrand::u32(..8) {
        0 => {
            tree.unload(&format!("platform/d{}", device + 1), number);
            *place = None;
        }
        // A file that is written in two steps, or whose writer ends half way.
        1 => {
            let whole = text(device + 1, n);
            std::fs::write(tree.at(&file), &whole[..3]).expect("written");
            if fastrand::bool() {
                std::fs::write(tree.at(&file), &whole).expect("written");
            }
        }
        2 => tree.put(&file, "garbage\n"),
        3 => tree.put(&file, ""),
        4 => std::fs::remove_file(tree.at(&file))
            .or_else(|_| std::fs::write(tree.at(&file), text(device + 1, n)))
            .expect("gone"),
        _ => tree.put(&file, &text(device + 1, n)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wrong_value_is_good_while_devices_come_and_go() {
    let changes = std::env::var("OPCELL_EXCHANGES").ok().and_then(|text| text.parse().ok()).unwrap_or(CHANGES);
    let tree = Arc::new(Tree::new());
    let mut at = [Some(0), Some(1), Some(2)];
    for (device, name) in [(1, "alpha"), (2, "alpha"), (3, "beta")] {
        load(&tree, device, device - 1, name, 0);
    }
    let bench = start(
        &tree,
        "One: { type: Double, poll: 5ms, source: hwmon/alpha/temp1 }
        Two: { type: Double, poll: 5ms, source: \"hwmon/alpha#2/temp1\" }
        Three: { type: Double, poll: 5ms, source: hwmon/beta/temp1 }",
    );
    for name in ["One", "Two", "Three"] {
        bench.until(bench.tag(name), "Good", |sample| sample.status.is_good()).await;
    }
    let done = Arc::new(AtomicBool::new(false));
    let (disturbed, ended) = (Arc::clone(&tree), Arc::clone(&done));
    let disturber = std::thread::spawn(move || {
        for n in 0..changes {
            disturb(&disturbed, &mut at, n);
            std::thread::sleep(Duration::from_micros(300));
        }
        ended.store(true, Ordering::Release);
    });
    let mut seen = [0_u32; 3];
    let mut bad = 0_u32;
    while !done.load(Ordering::Acquire) {
        for (at, name) in ["One", "Two", "Three"].into_iter().enumerate() {
            let sample = bench.sample(bench.tag(name));
            if !sample.status.is_good() {
                bad += 1;
                continue;
            }
            let Value::Double(value) = sample.value else { panic!("{name}: {sample:?}") };
            let low = (at + 1) as f64 * 100.0;
            assert!(
                (low..low + 10.0).contains(&value),
                "{name} shows {value}, a value of another device or a part of one"
            );
            seen[at] += 1;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    disturber.join().expect("it ends");
    assert!(seen.iter().all(|count| *count > 0) && bad > 0, "{seen:?} Good, {bad} not");
    bench.stop().await;
}
