//! A small mutational fuzzer for the stable toolchain: seeds, byte mutations, a seed number that repeats a run.
//!
//! `cargo run -p opcell-fuzz -- transport 60 1` runs one target for 60 s with random seed 1. A panic, a hang of
//! more than ten seconds and a peak of more than 1 GiB end the process with the input in `fuzz/crashes`; running the
//! target with `--input FILE` repeats it.

mod mutate;
pub mod seeds;
mod seeds_history;
pub mod seeds_messages;
mod seeds_service;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An input under way for so long is a hang.
const HANG: Duration = Duration::from_secs(10);
/// Peak of memory in KiB that no target may reach.
const MOST_MEMORY_KIB: u64 = 1 << 20;
/// Inputs are at most so long.
const MOST_BYTES: usize = 70_000;

/// What a run is asked to do.
struct Arguments {
    seconds: u64,
    seed: u64,
    input: Option<PathBuf>,
}

/// The input that is under way, for whoever reports a panic or a hang.
#[derive(Default)]
struct Current {
    input: Mutex<Vec<u8>>,
    executions: AtomicU64,
}

/// Runs `target` on mutations of `seeds` and of the files of `fuzz/corpus/NAME`, as the arguments of the process say.
pub fn run(name: &str, seeds: Vec<Vec<u8>>, target: fn(&[u8])) {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(usage) => {
            say(&format!("{usage}\nusage: opcell-fuzz {name} [SECONDS [SEED]] | --input FILE"));
            std::process::exit(2);
        }
    };
    if let Some(input) = arguments.input {
        let bytes = std::fs::read(&input).expect("the input file is readable");
        target(&bytes);
        say(&format!("{name}: {} passes", input.display()));
        return;
    }
    let mut seeds = seeds;
    seeds.extend(corpus(name));
    seeds.push(Vec::new());
    let current = Arc::new(Current::default());
    report_panics(name, &current);
    watch_for_hangs(name, &current);
    let started = Instant::now();
    for seed in &seeds {
        execute(&current, seed, target);
    }
    let mut random = fastrand::Rng::with_seed(arguments.seed);
    while started.elapsed() < Duration::from_secs(arguments.seconds) {
        for _ in 0..64 {
            let input = mutate::mutate(&seeds, &mut random, MOST_BYTES);
            execute(&current, &input, target);
        }
    }
    let executions = current.executions.load(Ordering::Relaxed);
    let peak = peak_memory_kib();
    say(&format!(
        "{name}: {executions} executions in {} s, {} seeds, seed {}, peak {peak} KiB",
        started.elapsed().as_secs(),
        seeds.len(),
        arguments.seed
    ));
    assert!(peak < MOST_MEMORY_KIB, "{name} grew to {peak} KiB");
}

fn arguments() -> Result<Arguments, String> {
    let given: Vec<String> = std::env::args().skip(2).collect();
    let number = |at: usize, default: u64| match given.get(at) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|error| format!("`{text}` is not a number: {error}")),
    };
    if given.first().is_some_and(|first| first == "--input") {
        let file = given.get(1).ok_or("--input needs a file")?;
        return Ok(Arguments { seconds: 0, seed: 0, input: Some(file.into()) });
    }
    Ok(Arguments { seconds: number(0, 60)?, seed: number(1, 1)?, input: None })
}

fn execute(current: &Current, input: &[u8], target: fn(&[u8])) {
    {
        let mut kept = current.input.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clear();
        kept.extend_from_slice(input);
    }
    target(input);
    current.executions.fetch_add(1, Ordering::Relaxed);
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a corpus file is readable")).collect()
}

/// Writes the input down before the process ends.
fn keep(name: &str, current: &Current) -> String {
    let input = current.input.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crashes");
    let hash = input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let file = folder.join(format!("{name}-{hash:016x}"));
    let kept = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, input.as_slice()));
    match kept {
        Ok(()) => format!("the input is in {}", file.display()),
        Err(error) => {
            let hex = input.iter().fold(String::new(), |mut text, byte| {
                write!(text, "{byte:02x}").expect("text takes every write");
                text
            });
            format!("the input could not be kept ({error}): {hex}")
        }
    }
}

fn report_panics(name: &str, current: &Arc<Current>) {
    let (name, current) = (name.to_owned(), Arc::clone(current));
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        say(&format!("{name}: panicked; {}", keep(&name, &current)));
    }));
}

fn watch_for_hangs(name: &str, current: &Arc<Current>) {
    let (name, current) = (name.to_owned(), Arc::clone(current));
    std::thread::spawn(move || {
        let mut before = None;
        loop {
            std::thread::sleep(HANG);
            let executions = current.executions.load(Ordering::Relaxed);
            if before == Some(executions) {
                say(&format!("{name}: hangs; {}", keep(&name, &current)));
                std::process::abort();
            }
            before = Some(executions);
        }
    });
}

/// `VmHWM` of Linux.
fn peak_memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

#[expect(clippy::print_stdout, reason = "this is what the program tells")]
/// Prints a line.
pub fn say(text: &str) {
    println!("{text}");
}
