//! Memory that clients may make the server hold: of one session, within that of all sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::value::Value;

/// Bytes that are left. What must be taken is taken, so a budget may be overdrawn by a little.
#[derive(Debug)]
pub struct Budget {
    left: AtomicI64,
    size: AtomicI64,
    all: Option<Arc<Budget>>,
    /// A request was refused for want of it.
    is_short: AtomicBool,
}

impl Budget {
    pub fn new(bytes: usize) -> Arc<Budget> {
        Arc::new(Budget::of(bytes, None))
    }

    /// A part of another one: what is spent here is spent there.
    pub fn share(bytes: usize, all: &Arc<Budget>) -> Arc<Budget> {
        Arc::new(Budget::of(bytes, Some(Arc::clone(all))))
    }

    fn of(bytes: usize, all: Option<Arc<Budget>>) -> Budget {
        let bytes = signed(bytes);
        Budget { left: AtomicI64::new(bytes), size: AtomicI64::new(bytes), all, is_short: AtomicBool::new(false) }
    }

    /// Gives it another size. What is spent stays spent, so a smaller one may be overdrawn until it is given back.
    pub fn resize(&self, bytes: usize) {
        let bytes = signed(bytes);
        let before = self.size.swap(bytes, Ordering::Relaxed);
        self.left.fetch_add(bytes.saturating_sub(before), Ordering::Relaxed);
    }

    pub fn has(&self, bytes: usize) -> bool {
        let has = self.left.load(Ordering::Relaxed) >= signed(bytes);
        if !has {
            self.is_short.store(true, Ordering::Relaxed);
        }
        has && self.all.as_ref().is_none_or(|all| all.has(bytes))
    }

    pub fn spend(&self, bytes: usize) {
        self.left.fetch_sub(signed(bytes), Ordering::Relaxed);
        if let Some(all) = &self.all {
            all.spend(bytes);
        }
    }

    pub fn give_back(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.left.fetch_add(signed(bytes), Ordering::Relaxed);
        if let Some(all) = &self.all {
            all.give_back(bytes);
        }
    }

    /// Bytes that are left; 0 when it is overdrawn.
    pub fn left(&self) -> usize {
        usize::try_from(self.left.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Whether a request was refused for want of memory since the last call.
    pub fn take_short(&self) -> bool {
        self.is_short.swap(false, Ordering::Relaxed)
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Bytes that a queued value keeps beyond its own place.
pub(crate) fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::ByteString(bytes) | Value::Wire(bytes) => bytes.len(),
        Value::Struct(of) => of.weight(),
        Value::Array(array) => match &array.elements {
            crate::value::Elements::Struct(all) => all.iter().map(|of| of.weight()).sum(),
            elements => elements.len() * 8,
        },
        _ => 0,
    }
}
