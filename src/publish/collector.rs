//! News of the tags of one publisher, collected under the locks of the tags.
//!
//! A commit pays for one swap of a flag; the first change since the last collection also pays for a place in a list. The value
//! itself is read when the publisher collects, so the newest of a tag counts. A tag of which every sample counts keeps its
//! samples in a queue of limited length instead.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::model::TagId;
use crate::tags::{Segments, TagStore, Watch, Watcher};
use crate::value::{Moment, Sample};

/// Bit of the keys of tags of which every sample counts.
const EVERY: u32 = 1 << 31;
/// Samples that wait; the oldest are dropped and counted.
const MOST_SAMPLES: usize = 16_384;

/// The watcher of a publisher.
pub(super) struct Collector {
    tags: Arc<TagStore>,
    marks: Segments<AtomicBool>,
    news: Mutex<News>,
    wake: Notify,
    lost: AtomicU64,
}

/// Changes that were collected.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Tags that changed, each once.
    pub marked: Vec<u32>,
    pub samples: VecDeque<Collected>,
}

/// A sample of a tag of which every one counts.
#[derive(Debug)]
pub(super) struct Collected {
    pub key: u32,
    pub sample: Sample,
}

impl News {
    fn is_empty(&self) -> bool {
        self.marked.is_empty() && self.samples.is_empty()
    }
}

impl Collector {
    pub(super) fn new(tags: &Arc<TagStore>) -> Arc<Collector> {
        Arc::new(Collector {
            tags: Arc::clone(tags),
            marks: Segments::new(std::iter::empty()),
            news: Mutex::default(),
            wake: Notify::new(),
            lost: AtomicU64::new(0),
        })
    }

    /// Makes room for keys below this one, before a tag is watched by them.
    pub(super) fn grow(&self, bound: u32) {
        self.marks.grow(bound as usize, || AtomicBool::new(false));
    }

    /// Collects the changes of a tag from now on, its present state first.
    pub(super) fn watch(self: &Arc<Collector>, tag: TagId, key: u32, every: bool) {
        let key = if every { key | EVERY } else { key };
        self.tags.watch(tag, Watch { watcher: self.watcher(), key, every });
    }

    pub(super) fn unwatch(self: &Arc<Collector>, tag: TagId, key: u32, every: bool) {
        let key = if every { key | EVERY } else { key };
        self.tags.unwatch(tag, &self.watcher(), key);
    }

    fn watcher(self: &Arc<Collector>) -> Arc<dyn Watcher> {
        Arc::clone(self) as Arc<dyn Watcher>
    }

    /// Wakes when there is something to take.
    pub(super) async fn woken(&self) {
        loop {
            let notified = self.wake.notified();
            if !self.news.lock().is_empty() {
                return;
            }
            notified.await;
        }
    }

    /// Marks a tag as if it had changed.
    pub(super) fn mark(&self, key: u32) {
        if !self.marks[key as usize].swap(true, Ordering::AcqRel) {
            self.note(|news| news.marked.push(key));
        }
    }

    fn note(&self, add: impl FnOnce(&mut News)) {
        let mut news = self.news.lock();
        let was_empty = news.is_empty();
        add(&mut news);
        drop(news);
        if was_empty {
            self.wake.notify_one();
        }
    }

    /// Takes everything. A change after it marks its tag again.
    pub(super) fn take(&self) -> News {
        let news = std::mem::take(&mut *self.news.lock());
        for key in &news.marked {
            self.marks[*key as usize].store(false, Ordering::Release);
        }
        news
    }

    /// Takes the samples alone.
    pub(super) fn take_samples(&self) -> VecDeque<Collected> {
        std::mem::take(&mut self.news.lock().samples)
    }

    /// Whether samples have to be taken before they push out older ones.
    pub(super) fn is_pressed(&self) -> bool {
        self.news.lock().samples.len() > MOST_SAMPLES / 2
    }

    /// Whether a sample of the tag waits.
    pub(super) fn has_sample(&self, key: u32) -> bool {
        self.news.lock().samples.iter().any(|collected| collected.key == key)
    }

    /// Takes back what was taken too early.
    pub(super) fn put_back(&self, mut news: News) {
        news.marked.iter().for_each(|key| self.mark(*key));
        self.note(|present| {
            news.samples.append(&mut present.samples);
            present.samples = news.samples;
        });
    }

    pub(super) fn present(&self, tag: TagId) -> Sample {
        self.tags.with(tag, Clone::clone)
    }

    /// Samples that were pushed out by newer ones since the last call.
    pub(super) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

impl Watcher for Collector {
    fn offer(&self, key: u32, sample: &Sample, _: Moment) {
        if key & EVERY == 0 {
            return self.mark(key);
        }
        let collected = Collected { key: key & !EVERY, sample: sample.clone() };
        self.note(|news| {
            if news.samples.len() >= MOST_SAMPLES {
                news.samples.pop_front();
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
            news.samples.push_back(collected);
        });
    }

    fn announce(&self, key: u32, _: &Sample) {
        if key & EVERY == 0 {
            self.mark(key);
        }
    }
}
