//! The frame around every target: an input may only cost so much memory.
//!
//! An allocation beyond the limit fails, which ends the process, which the fuzzer reports with the input. So even one huge
//! allocation that is never touched is found, which the fuzzer's own limit (`-rss_limit_mb`) does not see.

use std::alloc::System;

use cap::Cap;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// Runs a target on an input that may take so many MiB more than is taken now.
pub fn bounded(mib: usize, run: impl FnOnce()) {
    // A thread in the background may free or take a little between the two; a limit that is too low for it is refused.
    let limited = MEMORY.set_limit(MEMORY.allocated() + (mib << 20));
    run();
    if limited.is_ok() {
        MEMORY.set_limit(usize::MAX).expect("the highest limit is never too low");
    }
}
