//! Interrupts: a call can end its kernels before they are done.
//!
//! Each call that can be interrupted has a thread pool of its own, whose threads heed the [`Interrupt`] of that pool. Kernels
//! call [`check`] every few thousand pixels and unwind once the interrupt is requested. Their output is then incomplete.
//! Kernels on other threads go on.

use std::cell::RefCell;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

thread_local! {
    /// The interrupt that this thread heeds.
    static HEEDED: RefCell<Option<Interrupt>> = const { RefCell::new(None) };
}

/// The payload of the panic with which kernels unwind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

/// The switch that ends all kernels on the threads of one pool.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Build a pool of this many threads, which heed this interrupt; 0 stands for one thread per core.
    ///
    /// # Errors
    ///
    /// [`ThreadPoolBuildError`] where the system cannot start the threads.
    pub fn pool(&self, threads: usize) -> Result<ThreadPool, ThreadPoolBuildError> {
        let interrupt = self.clone();
        ThreadPoolBuilder::new()
            .num_threads(threads)
            .start_handler(move |_| HEEDED.set(Some(interrupt.clone())))
            .build()
    }

    /// End the kernels that run on the threads of the pool, and those that start there, until [`Interrupt::reset`].
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Let kernels run again.
    pub fn reset(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Unwind if the interrupt of this thread is requested. No panic message is printed, as this is no error.
pub fn check() {
    let requested = |interrupt: &Interrupt| interrupt.0.load(Ordering::Relaxed);
    if HEEDED.with_borrow(|interrupt| interrupt.as_ref().is_some_and(requested)) {
        resume_unwind(Box::new(Interrupted));
    }
}
