//! Ending kernels before they are done, for a user who does not want to wait.
//!
//! Kernels look at one flag for all, every some thousand pixels, and unwind where it is set: what they were to write is
//! lost. There is no flag a call, as work may be on any thread by then.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many ask for an end at the moment.
static ASKED: AtomicUsize = AtomicUsize::new(0);

/// What kernels unwind with, in place of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

/// All kernels end early as long as this is kept.
#[derive(Debug)]
#[must_use = "kernels go on once it is dropped"]
pub struct Interruption(());

impl Interruption {
    /// Ask all kernels to end.
    pub fn new() -> Self {
        ASKED.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Default for Interruption {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Interruption {
    fn drop(&mut self) {
        ASKED.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Unwind if an end was asked for; without the message of a panic, as nothing is wrong.
pub fn check() {
    if ASKED.load(Ordering::Relaxed) > 0 {
        resume_unwind(Box::new(Interrupted));
    }
}
