//! Formulas that read the clock: one task for all of them, which is there as soon as the first cell has one.

use std::sync::Arc;

use tokio::time::sleep_until;

use crate::tags::{Stamp, TagStore};

pub(super) async fn run(tags: Arc<TagStore>) {
    loop {
        match tags.tick(Stamp::now()) {
            Some(next) => tokio::select! {
                () = sleep_until(next) => {}
                () = tags.derived_changed() => {}
            },
            None => tags.derived_changed().await,
        }
    }
}
