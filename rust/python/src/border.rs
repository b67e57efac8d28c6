//! The one place where Python calls Rust: the GIL is released, and a thread pool of the requested size works.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{LazyLock, Mutex, PoisonError, mpsc};
use std::time::Duration;

use nucleus_kernels::Error;
use nucleus_kernels::interrupt::Interrupt;
use numpy::ndarray::ArrayView2;
use numpy::{PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use rayon::ThreadPool;

pyo3::import_exception!(nucleus_unet.errors, MaskError);
pyo3::import_exception!(nucleus_unet.errors, SettingsError);

/// Calls on this many pixels or more may take so long that a user wants to interrupt them.
const LONG: usize = 1 << 22;

/// The time between two checks for signals.
const BETWEEN_SIGNALS: Duration = Duration::from_millis(50);

/// The most threads of a call. More would be a mistake, and a system that cannot start them may end the process.
const MOST_THREADS: usize = 1024;

/// The most pools that are kept for later calls.
const MOST_IDLE: usize = 8;

/// The process that has the threads of rayon's global pool: the one that imported the extension.
pub static POOL_OWNER: LazyLock<u32> = LazyLock::new(std::process::id);

/// The Python error for a kernel's error, with the same text.
pub fn raised(error: Error) -> PyErr {
    match error {
        Error::Setting(message) => SettingsError::new_err(message),
        Error::Data(message) => MaskError::new_err(message),
    }
}

/// Run `work` without the GIL on `threads` threads; `None` stands for all cores.
///
/// `pixels` estimates the work. From [`LONG`] pixels on, `work` has a pool of its own, and a signal whose handler raises, as
/// that of Ctrl-C does, ends it.
pub fn run<T: Send>(
    py: Python<'_>,
    threads: Option<usize>,
    pixels: usize,
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> PyResult<T> {
    // A forked child has none of its parent's threads; it would wait for ever for rayon's global pool.
    if threads.is_none() && pixels < LONG && std::process::id() == *POOL_OWNER {
        return py.detach(work).map_err(raised);
    }
    let pool = Pool::lease(threads.unwrap_or(0))?;
    let outcome = py.detach(|| {
        if pixels < LONG {
            Ok(pool.threads.install(work))
        } else {
            interruptible(&pool, work)
        }
    });
    pool.give_back();
    outcome?.map_err(raised)
}

/// Read the argument `threads` of a call.
pub fn threads(value: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
    match value.extract() {
        Ok(Some(count)) if !(1..=MOST_THREADS).contains(&count) => (),
        Err(error) if error.is_instance_of::<PyOverflowError>(value.py()) => (),
        threads => return threads,
    }
    // Python refuses to write numbers of thousands of digits.
    let got = value
        .str()
        .map_or("a huge number".into(), |text| text.to_string());
    Err(SettingsError::new_err(format!(
        "threads: expected at least 1, at most {MOST_THREADS}, or None for all cores, got {got}"
    )))
}

/// Work on the threads of a pool, and let Python handle signals meanwhile: it runs handlers on its main thread alone.
fn interruptible<T: Send>(pool: &Pool, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    let (sender, receiver) = mpsc::channel();
    pool.threads.in_place_scope(|scope| {
        scope.spawn(move |_| {
            let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
        });
        loop {
            if let Ok(outcome) = receiver.recv_timeout(BETWEEN_SIGNALS) {
                return outcome.or_else(|payload| resume_unwind(payload));
            }
            if let Err(raised) = Python::attach(|py| py.check_signals()) {
                pool.interrupt.request();
                let _ = receiver.recv();
                pool.interrupt.reset();
                return Err(raised);
            }
        }
    })
}

/// The pools that no call uses at the moment, the latest last. Only a thread that holds the GIL takes the lock, so no fork
/// finds it taken.
static IDLE: Mutex<Vec<Pool>> = Mutex::new(Vec::new());

/// Threads that one call at a time uses, and what interrupts them.
struct Pool {
    process: u32,
    size: usize,
    threads: ThreadPool,
    interrupt: Interrupt,
}

impl Pool {
    /// Take an idle pool of this many threads (0 for all cores) or build one: to start threads takes longer than many calls.
    fn lease(size: usize) -> PyResult<Self> {
        let process = std::process::id();
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        // The threads of a parent process stayed there. To end them could wait for locks that nobody gives back.
        idle.extract_if(.., |pool| pool.process != process)
            .for_each(mem::forget);
        if let Some(place) = idle.iter().rposition(|pool| pool.size == size) {
            return Ok(idle.remove(place));
        }
        let interrupt = Interrupt::default();
        let threads = interrupt
            .pool(size)
            .map_err(|error| SettingsError::new_err(format!("threads: {error}")))?;
        Ok(Self {
            process,
            size,
            threads,
            interrupt,
        })
    }

    /// Keep the pool for the next call, and end the oldest idle one if there are too many.
    fn give_back(self) {
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(self);
        if idle.len() > MOST_IDLE {
            idle.remove(0);
        }
    }
}

/// The pixels of a label image. They must lie in memory in the order in which the kernels read them.
pub fn label_image<'a>(array: &'a PyReadonlyArray2<'_, u32>) -> PyResult<ArrayView2<'a, u32>> {
    if array.is_c_contiguous() && array.is_aligned() {
        Ok(array.as_array())
    } else {
        Err(MaskError::new_err(
            "labels: expected an aligned, C-contiguous array; numpy.require(labels, requirements='CA') makes one",
        ))
    }
}
