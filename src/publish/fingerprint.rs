//! Hashes that are the same in each version: they are kept on disk.

use super::json::{Choice, Texts};
use crate::drivers::broker::Url;
use crate::model::{Publish, PublishFormat, Shape, SparkplugFormat};

/// FNV-1a with 64 bits of some texts. It does not withstand an author of a cell file who wants two texts to have one hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Fingerprint(pub u64);

impl Fingerprint {
    /// Texts that are divided otherwise give another one.
    pub(super) fn of<T: AsRef<str>>(texts: &[T]) -> Fingerprint {
        let mut hash = 0xcbf2_9ce4_8422_2325;
        let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        for text in texts {
            text.as_ref().bytes().for_each(&mut add);
            // No UTF-8 has this byte.
            add(0xff);
        }
        Fingerprint(hash)
    }

    /// The place that messages of a publisher go to.
    pub(super) fn of_destination(publish: &Publish, url: &Url) -> Fingerprint {
        let mut texts = vec![url.host.to_ascii_lowercase(), url.port.to_string()];
        match &publish.format {
            PublishFormat::Json(_) => texts.push("json".to_owned()),
            PublishFormat::Sparkplug(SparkplugFormat { group, node, .. }) => {
                texts.extend(["sparkplug", group, node].map(str::to_owned));
            }
        }
        Fingerprint::of(&texts)
    }

    /// The meaning of a tag's values: their type, unit and texts.
    pub(super) fn of_values(shape: &Shape, choices: Option<&Texts>) -> Fingerprint {
        let mut texts = vec![format!("{:?} {:?}", shape.data_type.wire(), shape.dimensions)];
        texts.push(shape.unit.as_ref().map_or("", |unit| &unit.symbol).to_owned());
        for Choice { number, text } in choices.into_iter().flatten() {
            texts.extend([number.to_string(), text.clone()]);
        }
        Fingerprint::of(&texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_same_for_ever_and_another_for_other_texts() {
        assert_eq!(Fingerprint::of::<&str>(&[]), Fingerprint(0xcbf2_9ce4_8422_2325));
        assert_eq!(Fingerprint::of(&["a", "b"]), Fingerprint(0xd2b3_7181_9297_f98a));
        let all = [&["ab", ""][..], &["a", "b"], &["", "ab"], &["ab"], &[""], &["b", "a"]];
        let hashes: std::collections::HashSet<u64> = all.iter().map(|texts| Fingerprint::of(texts).0).collect();
        assert_eq!(hashes.len(), all.len());
    }
}
