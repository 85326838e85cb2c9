//! Small damage to a seed: what makes parsers stumble is mostly a length, an edge or two messages joined.

use fastrand::Rng;

/// Numbers at the edges of lengths and counts.
const EDGES: [u32; 14] =
    [0, 1, 2, 7, 8, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];

/// One seed with one to eight changes, at most `most` bytes.
pub(crate) fn mutate(seeds: &[Vec<u8>], random: &mut Rng, most: usize) -> Vec<u8> {
    let mut bytes = seeds[random.usize(..seeds.len())].clone();
    for _ in 0..random.usize(1..=8) {
        change(&mut bytes, seeds, random);
    }
    bytes.truncate(most);
    bytes
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Rng) {
    let at = random.usize(..=bytes.len());
    let length = random.usize(..=(bytes.len() - at).min(64));
    match random.u8(..9) {
        0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.u8(..8)),
        1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = random.u8(..)),
        2 => {
            let edge = EDGES[random.usize(..EDGES.len())].to_le_bytes();
            bytes.iter_mut().skip(at).zip(edge).for_each(|(byte, edge)| *byte = edge);
        }
        3 => {
            let edge = EDGES[random.usize(..EDGES.len())].to_be_bytes();
            let width = random.usize(1..=4);
            bytes.iter_mut().skip(at).zip(&edge[4 - width..]).for_each(|(byte, edge)| *byte = *edge);
        }
        4 => drop(bytes.drain(at..at + length)),
        5 => {
            let part = bytes[at..at + length].to_vec();
            let most = if random.u8(..16) == 0 { 500 } else { 3 };
            let times = random.usize(1..=most);
            drop(bytes.splice(at..at, part.repeat(times)));
        }
        6 => bytes.insert(at, random.u8(..)),
        7 => {
            let other = &seeds[random.usize(..seeds.len())];
            let from = random.usize(..=other.len());
            drop(bytes.splice(at.., other[from..].iter().copied()));
        }
        _ => bytes.truncate(at),
    }
}
