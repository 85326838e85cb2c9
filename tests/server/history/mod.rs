//! HistoryRead and HistoryUpdate over the wire.

mod annotations;
mod clients;
mod hostile;
mod nodes;
mod pages;
mod processed;
mod raw;
mod recording;
mod update;
