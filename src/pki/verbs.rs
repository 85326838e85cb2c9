//! What `opcell pki` does: text in, text out. A running server sees the change at once, because it watches the folders.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::PkiError;
use super::certificate::{hex, printable, when};
use super::folders::{Entry, certificates};
use super::rejected::stem;
use crate::value::UaTime;

/// Every certificate with its folder: `trusted   1a2b3c4d  UaExpert@host  until 2030-…`.
pub fn list(dir: &Path) -> Result<String, PkiError> {
    let now = UaTime::now().unix_seconds();
    let mut text = String::new();
    for folder in super::folders::FOLDERS {
        for Entry { certificate, .. } in certificates(&dir.join(folder))? {
            let state = if certificate.is_valid_at(now) { "until" } else { "NOT VALID; until" };
            let name = printable(certificate.name());
            let (short, end) = (certificate.short(), when(certificate.not_after));
            writeln!(text, "{folder:9} {short}  {name:40} {state} {end}").expect("text takes every write");
        }
    }
    if text.is_empty() {
        text = format!("no certificates in {}\n", dir.display());
    }
    Ok(text)
}

/// Moves a certificate from `rejected` to `trusted`. `which`: part of its name, or the beginning of its thumbprint.
pub fn trust(dir: &Path, which: &str) -> Result<String, PkiError> {
    move_one(dir, which, ("rejected", "trusted"))
}

/// Moves a certificate from `trusted` to `rejected`. Channels that are open stay so until they renew.
pub fn reject(dir: &Path, which: &str) -> Result<String, PkiError> {
    move_one(dir, which, ("trusted", "rejected"))
}

pub fn show(dir: &Path, which: &str) -> Result<String, PkiError> {
    let mut all = Vec::new();
    for folder in super::folders::FOLDERS {
        all.extend(certificates(&dir.join(folder))?);
    }
    let entry = select(all, which, "pki folder")?;
    let mut text = format!("{:16} {}\n{}", "file", entry.path.display(), entry.certificate.describe());
    let why = entry.path.with_extension("txt");
    if why.exists() {
        let rejected = fs::read_to_string(&why).map_err(PkiError::io(&why))?;
        text.extend(["\n", rejected.split("\n\n").next().unwrap_or_default(), "\n"]);
    }
    Ok(text)
}

fn move_one(dir: &Path, which: &str, (from, to): (&str, &str)) -> Result<String, PkiError> {
    let entry = select(certificates(&dir.join(from))?, which, from)?;
    let certificate = &entry.certificate;
    let target = dir.join(to);
    fs::create_dir_all(&target).map_err(PkiError::io(&target))?;
    let file = stem(&target, certificate).with_extension("der");
    fs::write(&file, &certificate.der).map_err(PkiError::io(&file))?;
    remove(&entry, from)?;
    Ok(format!("{} `{}` is now {to} ({})\n", certificate.short(), printable(certificate.name()), file.display()))
}

/// Removes the file that the certificate came from, unless others are in it.
fn remove(entry: &Entry, from: &str) -> Result<(), PkiError> {
    let folder = entry.path.parent().unwrap_or(&entry.path);
    let others = certificates(folder)?.iter().filter(|other| other.path == entry.path).count();
    if others > 1 {
        let what = format!("holds other certificates too; remove this one from it by hand to take it out of {from}/");
        return Err(PkiError::refused(&entry.path, what));
    }
    fs::remove_file(&entry.path).map_err(PkiError::io(&entry.path))?;
    let text = entry.path.with_extension("txt");
    if text.exists() {
        fs::remove_file(&text).map_err(PkiError::io(&text))?;
    }
    Ok(())
}

/// The one certificate that `which` means.
fn select(entries: Vec<Entry>, which: &str, place: &str) -> Result<Entry, PkiError> {
    let wanted = which.trim().to_lowercase();
    let is_meant = |entry: &Entry| {
        let file = entry.path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let digits = wanted.replace([':', ' '], "");
        (digits.len() >= 4 && hex(&entry.certificate.thumbprint).starts_with(&digits))
            || entry.certificate.name().to_lowercase().contains(&wanted)
            || file == wanted
    };
    let mut found: Vec<Entry> = entries.into_iter().filter(|entry| !wanted.is_empty() && is_meant(entry)).collect();
    let first = found.first().map(|entry| entry.certificate.thumbprint);
    if found.iter().any(|entry| Some(entry.certificate.thumbprint) != first) {
        let names = found
            .iter()
            .map(|entry| format!("{} `{}`", entry.certificate.short(), printable(entry.certificate.name())));
        let names = names.collect::<Vec<_>>().join(", ");
        return Err(PkiError::Selection(format!("`{which}` means several in {place}: {names}; give the eight digits")));
    }
    match found.is_empty() {
        false => Ok(found.swap_remove(0)),
        true => Err(PkiError::Selection(format!("no certificate in {place} is `{which}`; see: opcell pki list"))),
    }
}
