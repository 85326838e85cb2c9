//! Keys of a cell file that a driver reads, and the names of those that differ between two versions of a point.

use std::fmt::Debug;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// Keys of a cell file that a driver reads. Their doc comments are the user's reference and the schema.
pub trait Keys: DeserializeOwned + JsonSchema + Clone + PartialEq + Debug + Send + Sync + 'static {}

impl<T: DeserializeOwned + JsonSchema + Clone + PartialEq + Debug + Send + Sync + 'static> Keys for T {}

/// Keys of a source. `point_keys!` implements it.
pub trait PointKeys: Keys {
    /// Names of the keys whose value differs, in the order of the struct.
    fn changed_keys(&self, new: &Self) -> Vec<&'static str>;
}

/// Implements `PointKeys` for a struct. A field that is left out does not compile.
macro_rules! point_keys {
    ($keys:ident { $($key:ident),* $(,)? }) => {
        impl crate::drivers::keys::PointKeys for $keys {
            fn changed_keys(&self, new: &Self) -> Vec<&'static str> {
                let $keys { $($key),* } = self;
                let $keys { .. } = new;
                let all: [(&'static str, bool); _] = [$((stringify!($key), *$key != new.$key)),*];
                all.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
            }
        }
    };
}

pub(super) use point_keys;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::drivers::driver::Driver;
    use crate::drivers::plan::{PointPlan, PointSettings};
    use crate::drivers::registry::Visit;

    use super::*;

    /// A value of each key that is not its default.
    const OTHERS: &[(&str, &str)] = &[
        ("raw_type", "\"int32\""),
        ("word_order", "\"low-first\""),
        ("swap_bytes", "true"),
        ("invalid", "[\"1\"]"),
        ("nan", "true"),
        ("charset", "\"latin-1\""),
        ("chars_per_register", "1"),
        ("split", "true"),
        ("write_function", "\"single\""),
        ("mask_write", "\"never\""),
        ("negate", "true"),
        ("queue", "20"),
        ("json", "\"/a\""),
        ("time", "\"/a\""),
        ("quality", "\"/a\""),
        ("payload", "\"text\""),
        ("byte", "1"),
        ("byte_order", "\"low-first\""),
        ("column", "1"),
        ("encoding", "\"hex\""),
        ("publish", "\"a\""),
        ("body", "\"a\""),
        ("retain", "true"),
        ("online", "\"a\""),
        ("active", "\"low\""),
        ("debounce", "\"10ms\""),
        ("bias", "\"up\""),
        ("count", "\"both\""),
        ("drive", "\"open-drain\""),
        ("on_start", "true"),
    ];

    struct EachKey;

    impl Visit for EachKey {
        type Out = usize;

        fn driver<D: Driver>(&mut self) -> usize {
            let schema = serde_json::to_value(schemars::schema_for!(D::Point)).expect("a schema");
            let keys: Vec<String> =
                schema["properties"].as_object().into_iter().flat_map(|keys| keys.keys().cloned()).collect();
            for key in &keys {
                let other = OTHERS.iter().find(|(name, _)| name == key);
                let (_, other) = other.unwrap_or_else(|| panic!("a value for `{key}` of driver {}", D::NAME));
                let changed: D::Point = serde_json::from_str(&format!("{{\"{key}\": {other}}}")).expect("a point");
                assert_eq!(D::Point::default().changed_keys(&changed), [key.as_str()], "{}", D::NAME);
                assert_eq!(changed.changed_keys(&D::Point::default()), [key.as_str()], "{}", D::NAME);
                assert!(changed.changed_keys(&changed).is_empty());
            }
            keys.len()
        }
    }

    #[test]
    fn a_key_of_a_driver_that_differs_is_named_and_no_other() {
        let counts = crate::drivers::each(&mut EachKey);
        assert!(counts.iter().any(|count| *count > 9), "{counts:?}");
    }

    #[test]
    fn a_key_of_a_source_that_differs_is_named_and_no_other() {
        let point = PointPlan { write: false, ..PointPlan::sample(0) };
        type Change = fn(&mut PointPlan);
        let changes: [(&str, Change); 9] = [
            ("address", |point| point.address = "b".into()),
            ("address", |point| point.words = vec!["a".into(), "b".into()]),
            ("poll", |point| point.poll *= 2),
            ("read", |point| point.read = false),
            ("write", |point| point.write = true),
            ("write_every", |point| point.write_every = Some(Duration::from_secs(1))),
            ("scale", |point| point.exponent = Some("c".into())),
            ("scale", |point| point.has_scale = true),
            ("connection", |point| {
                point.settings = PointSettings::of(crate::drivers::modbus::RegisterPoint::default())
            }),
        ];
        for (key, change) in changes {
            let mut changed = point.clone();
            change(&mut changed);
            assert_eq!(point.changed_keys(&changed), [key]);
        }
        assert!(point.changed_keys(&point).is_empty());
    }
}
