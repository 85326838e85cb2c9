//! Messages of any bytes, read in every form, for fuzzing.

use std::sync::Arc;

use super::bytes::Raw;
use super::format::{Form, Format};
use super::json::Pointer;
use super::keys::{ByteOrder, Encoding, RawType};
use super::read::{Outcome, Reader, members_of};
use super::value::Want;
use crate::drivers::plan::Enumeration;
use crate::value::BuiltIn;

const KINDS: [BuiltIn; 8] = [
    BuiltIn::Boolean,
    BuiltIn::SByte,
    BuiltIn::UInt64,
    BuiltIn::Float,
    BuiltIn::Double,
    BuiltIn::String,
    BuiltIn::DateTime,
    BuiltIn::ByteString,
];

fn want(kind: BuiltIn, elements: Option<usize>) -> Want {
    let values = || vec![(-3, "off".to_owned()), (7, "on".to_owned())];
    let enumeration = (kind == BuiltIn::SByte).then(|| Arc::new(Enumeration { values: values() }));
    Want { kind, elements, length: Some(40), has_scale: kind == BuiltIn::Double, enumeration }
}

fn formats() -> impl Iterator<Item = Format> {
    let pointer = |text| Pointer::parse(text).expect("a pointer");
    let paths = ["", "/a", "/a/b", "/list/1", "/a~1b"];
    let json = paths.into_iter().flat_map(move |path| {
        KINDS.into_iter().flat_map(move |kind| [None, Some(2)].map(|elements| want(kind, elements))).map(move |want| {
            let (time, quality) = (Some(pointer("/ts")), Some(pointer("/ok")));
            Format {
                form: Form::Json,
                json: pointer(path),
                time,
                quality,
                raw: None,
                encoding: None,
                want,
                fields: None,
            }
        })
    });
    let plain = move |form: Form, want| Format {
        form,
        json: pointer(""),
        time: None,
        quality: None,
        raw: None,
        encoding: None,
        want,
        fields: None,
    };
    let texts = KINDS
        .into_iter()
        .flat_map(move |kind| [Form::Text, Form::Csv(1), Form::Csv(3)].map(|form| plain(form, want(kind, None))));
    let raws = [RawType::Int16, RawType::Float32, RawType::Uint64, RawType::Text, RawType::Bytes];
    let bytes = raws.into_iter().flat_map(move |raw| {
        [ByteOrder::HighFirst, ByteOrder::LowFirst].into_iter().flat_map(move |order| {
            [None, Some(Encoding::Hex), Some(Encoding::Base64)].map(|encoding| {
                let (kind, elements) = match raw {
                    RawType::Text => (BuiltIn::String, None),
                    RawType::Bytes => (BuiltIn::ByteString, None),
                    _ => (BuiltIn::Double, Some(2)),
                };
                let form = if encoding.is_none() { Form::Raw } else { Form::Json };
                let raw = Some(Raw { raw, byte: 3, order, nan: false });
                Format { raw, encoding, ..plain(form, want(kind, elements)) }
            })
        })
    });
    json.chain(texts).chain(bytes)
}

thread_local! {
    static READER: Reader = {
        let mut reader = Reader::default();
        (0..).zip(formats()).for_each(|(point, format)| reader.add(point, format));
        reader
    };
}

/// Reads bytes as a message in every form.
pub fn fuzz(message: &[u8]) {
    READER.with(|reader| {
        reader.read("fuzz", message, |_, outcome| match outcome {
            Outcome::Found(found) => {
                assert_eq!(found.value.is_null(), found.status.is_bad(), "only a Bad sample has no value");
                assert!(found.why.is_none_or(|why| why.len() < 1_000), "a reason is a sentence");
            }
            Outcome::Missing(path) => assert!(path.starts_with('/') && members_of(message).len() < 4_096),
        });
    });
}
