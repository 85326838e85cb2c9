//! A number with its noun: `1 tag`, `2 tags`.

use std::fmt::Display;

/// The number and the noun, in the plural unless the number is 1. Nouns that take no plain `s` are not for here.
pub(crate) fn count<N: Copy + Display + TryInto<u64>>(number: N, noun: &str) -> String {
    let is_one = number.try_into().is_ok_and(|number: u64| number == 1);
    format!("{number} {noun}{}", if is_one { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        assert_eq!([count(0, "tag"), count(1_u32, "tag"), count(2_usize, "tag")], ["0 tags", "1 tag", "2 tags"]);
    }
}
