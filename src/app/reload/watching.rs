//! `watch: true`: reloads when the files have changed and rested.
pub(crate) async fn watch() {}
