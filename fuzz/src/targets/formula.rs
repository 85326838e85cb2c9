//! Formulas with random inputs: parser, types, flat code.

/// A formula for each part of the language. A letter is a tag, and its type follows from the letter.
const SEEDS: [&str; 12] = [
    "J * 2 + -I % 3 - b / 4.5e-1",
    "if(h and not p or I > 3, 'it''s', text(J, 2) + \"x\")",
    "default(good(h) and bad(x), fresh(J) < 500ms)",
    "clamp(round(J, 2), min(I, 2), max(J, 3.5)) + sum(N) / count(N)",
    "N[1] + O[0, 1] + bit(I, 3)",
    "mean(J, 10s) + rate(I, 1min) + total(J, 1h) + delta(c, 2d)",
    "lowest(J, 1s) + highest(J, 2s)",
    "count_rises(h) + on_time(h) + default(prev(), 0)",
    "on_delay(h, 5s) or off_delay(h, age(J))",
    "hour(now()) * 60 + minute(D) + weekday(L)",
    "upper(part(K, 1, 2)) + lower(trim(K)) + status(`a b`.c)",
    "shl(I, 3) == shr(bor(0x1F, I), 2) or isnull(K) or J != null",
];

pub(super) fn run() {
    let with_inputs = |text: &&str| [text.as_bytes(), &[0, 1, 255, 3, 64, 9, 240, 63, 7, 128, 5, 77]].concat();
    opcell_fuzz::run("formula", SEEDS.iter().map(with_inputs).collect(), opcell::testing::formula::fuzz);
}
