//! Memory that downloads are read into, used again: a fresh piece of that size is given by the system page by page, each filled with
//! zeros, which takes longer than to read into it.

use std::mem;
use std::sync::{Mutex, PoisonError};

use super::reader::BATCH;
use crate::aligned::Aligned;

/// As much as is kept while nobody uses it: 4 MiB.
const KEPT: usize = 16;

static FREE: Mutex<Vec<Aligned>> = Mutex::new(Vec::new());

/// Memory for one batch; goes back when it is dropped.
pub(super) struct Buffer {
    memory: Aligned,
    length: usize,
}

impl Buffer {
    /// So many bytes, with anything in them.
    pub(super) fn new(length: usize) -> Self {
        let batch = usize::try_from(BATCH).expect("a batch is small");
        let kept = if length <= batch { FREE.lock().unwrap_or_else(PoisonError::into_inner).pop() } else { None };
        Self { memory: kept.unwrap_or_else(|| Aligned::zeroed(batch.max(length))), length }
    }

    /// The bytes.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[..self.length]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let batch = usize::try_from(BATCH).expect("a batch is small");
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT && self.memory.len() == batch {
            free.push(mem::take(&mut self.memory));
        }
    }
}
