//! The file of a mirrored folder in the state folder.
//!
//! ```text
//! opcell-mirror 1 SHA-256 in hex digits
//! { "namespace": …, "path": …, "driver": …, "from": …, "values": [ … ] }
//! ```
//! The sum is that of the bytes after the first line. A file with another sum, or one that cannot be read, is set aside.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::drivers::{Folder, Found, Kept, with_names};
use crate::stack::crypto::sha256;

const HEAD: &str = "opcell-mirror 1 ";
/// Bytes of a file, at most.
pub(super) const MOST_BYTES: usize = 512 << 20;

/// The content of a file.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    #[serde(flatten)]
    folder: Folder,
    driver: String,
    from: String,
    values: Vec<Found>,
}

/// A folder with what was kept of it.
#[derive(Debug, PartialEq)]
pub(super) struct Read {
    pub folder: Folder,
    pub kept: Kept,
}

fn sum(bytes: &[u8]) -> String {
    sha256(&[bytes]).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name of a folder's file.
pub(super) fn name(folder: &Folder) -> String {
    let sum = sum(format!("{}\n{}", folder.namespace, folder.path).as_bytes());
    format!("{}.mirror", &sum[..32])
}

pub(super) fn write(folder: &Folder, kept: &Kept) -> Vec<u8> {
    let Kept { driver, from, values, gone: _, descriptions: _ } = kept;
    let content =
        Content { folder: folder.clone(), driver: driver.clone(), from: from.clone(), values: values.clone() };
    let body = serde_json::to_vec(&content).expect("our own structs have text keys and plain values");
    let mut bytes = format!("{HEAD}{}\n", sum(&body)).into_bytes();
    bytes.extend(body);
    bytes
}

/// Reads a file; the text says what is wrong with it.
pub(super) fn read(bytes: &[u8]) -> Result<Read, String> {
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("it has no first line")?;
    let (head, body) = (&bytes[..end], &bytes[end + 1..]);
    let stated = std::str::from_utf8(head).ok().and_then(|head| head.strip_prefix(HEAD));
    let stated = stated.ok_or("it is not of this version")?;
    if stated != sum(body) {
        return Err("its sum is wrong".to_owned());
    }
    let content: Content = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let Content { folder, driver, from, values } = content;
    let count = values.len();
    // A name that no node may have would be in a file that another program wrote.
    let paths: HashMap<String, Vec<String>> =
        values.iter().map(|found| (found.address.clone(), found.path.clone())).collect();
    let named = with_names(values, &HashMap::new());
    let is_same = named.all.len() == count
        && named.all.iter().all(|found| paths.get(&found.address).is_some_and(|path| *path == found.path));
    match is_same {
        true => Ok(Read { folder, kept: Kept { driver, from, values: named.all, ..Kept::default() } }),
        false => Err("its names are none that nodes may have".to_owned()),
    }
}

/// Reads bytes as a file; for fuzzing.
pub fn fuzz(bytes: &[u8]) {
    let mut whole = format!("{HEAD}{}\n", sum(bytes)).into_bytes();
    whole.extend(bytes);
    for bytes in [bytes, &whole] {
        if let Ok(Read { folder, kept }) = read(bytes) {
            let again = read(&write(&folder, &kept)).expect("a file that was written");
            assert!(again.folder == folder && again.kept.values.len() == kept.values.len());
        }
    }
}
