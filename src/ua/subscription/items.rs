//! The items of a subscription: placed, taken out, linked, and counted.

use opcua::StatusCode;

use super::item::{Item, Mode, Watched};
use super::{LINK_BYTES, State};
use crate::history::aggregate::Running;
use crate::value::Moment;

impl State {
    pub fn item_count(&self) -> usize {
        self.by_id.len()
    }

    pub fn disabled_count(&self) -> usize {
        self.disabled
    }

    pub fn live_count(&self) -> usize {
        self.polled.len()
    }

    pub fn aggregate_count(&self) -> usize {
        self.aggregated.len()
    }

    /// Ids of some items, those of the last places first; places at the end that are free are given up. For a
    /// subscription that is closed.
    pub fn last_ids(&mut self, most: usize) -> Vec<u32> {
        while let Some(None) = self.items.last() {
            self.items.pop();
        }
        self.items.iter().rev().flatten().take(most).map(|item| item.id).collect()
    }

    /// Places an item and gives it its id; returns the key by which its tag offers.
    pub fn insert(&mut self, mut item: Box<Item>) -> (u32, u32) {
        let id = self.next_item;
        self.next_item = self.next_item.wrapping_add(1).max(1);
        item.id = id;
        let is_live = matches!(item.watched, Watched::Live(_));
        let is_aggregated = item.aggregate.is_some();
        self.disabled += usize::from(item.mode == Mode::Disabled);
        let key = match self.free.pop() {
            Some(key) => {
                self.items[key as usize] = Some(item);
                key
            }
            None => {
                self.items.push(Some(item));
                u32::try_from(self.items.len() - 1).expect("items are limited far below 2^32")
            }
        };
        self.by_id.insert(id, key);
        if is_live {
            self.polled.insert(key);
        }
        if is_aggregated {
            self.aggregated.insert(key);
        }
        (id, key)
    }

    pub fn key_of(&self, id: u32) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    pub fn item_mut(&mut self, key: u32) -> Option<&mut Item> {
        self.items.get_mut(key as usize)?.as_deref_mut()
    }

    pub fn items(&self) -> impl Iterator<Item = (u32, &Item)> {
        let numbered = self.items.iter().zip(0u32..);
        numbered.filter_map(|(item, key)| item.as_deref().map(|item| (key, item)))
    }

    /// Takes an item out; its key is free again only after `release`, when no tag offers to it any more.
    pub fn remove(&mut self, id: u32) -> Option<(u32, Box<Item>)> {
        let key = self.by_id.remove(&id)?;
        let item = self.items[key as usize].take()?;
        self.polled.remove(&key);
        self.aggregated.remove(&key);
        self.disabled -= usize::from(item.mode == Mode::Disabled);
        let before = self.links.count();
        self.links.forget(id);
        self.memory.give_back((before - self.links.count()) * LINK_BYTES);
        Some((key, item))
    }

    pub fn release(&mut self, key: u32) {
        self.free.push(key);
    }

    /// A changed mode: Disabled forgets what waits, Reporting shows what was sampled.
    pub fn set_mode(&mut self, key: u32, mode: Mode, now: Moment) {
        let Some(Some(item)) = self.items.get_mut(key as usize) else { return };
        let wakes = item.mode == Mode::Disabled;
        if let (true, Some(running)) = (wakes, &mut item.aggregate) {
            running.begin(now.wall);
        }
        self.disabled += usize::from(mode == Mode::Disabled);
        self.disabled -= usize::from(item.mode == Mode::Disabled);
        item.mode = mode;
        if wakes && item.denied.is_some() {
            self.tell_denied(key, now);
        }
        let Some(Some(item)) = self.items.get_mut(key as usize) else { return };
        match mode {
            Mode::Disabled => {
                item.queue.clear();
                item.held = None;
                item.last = None;
                if let Watched::Events(_, queue) = &mut item.watched {
                    queue.clear();
                }
                item.is_dirty = false;
            }
            Mode::Sampling => {
                item.is_dirty = false;
            }
            Mode::Reporting => {
                if item.has_news() {
                    self.push_dirty(key);
                }
            }
        }
    }

    /// Sets what an item calculates; its earlier results are dropped.
    pub fn set_aggregate(&mut self, key: u32, aggregate: Option<Box<Running>>) {
        if aggregate.is_some() {
            self.aggregated.insert(key);
        } else {
            self.aggregated.remove(&key);
        }
        let Some(Some(item)) = self.items.get_mut(key as usize) else { return };
        item.aggregate = aggregate;
        item.held = None;
        item.last = None;
    }

    /// From now on `linked` reports when `trigger` does.
    pub fn link(&mut self, trigger: u32, linked: u32) -> StatusCode {
        match self.key_of(linked) {
            Some(_) if !self.memory.has(LINK_BYTES) => StatusCode::BadResourceUnavailable,
            Some(_) => {
                let before = self.links.count();
                let status = self.links.add(trigger, linked);
                self.memory.spend((self.links.count() - before) * LINK_BYTES);
                status
            }
            None => StatusCode::BadMonitoredItemIdInvalid,
        }
    }

    pub fn unlink(&mut self, trigger: u32, linked: u32) -> StatusCode {
        let before = self.links.count();
        let status = self.links.remove(trigger, linked);
        self.memory.give_back((before - self.links.count()) * LINK_BYTES);
        status
    }
}
