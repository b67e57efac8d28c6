//! The one place where Python hands over to Rust: the GIL is released and a thread pool of the asked size serves.

use std::fmt::Display;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use nucleus_kernels::interrupt::{Interrupted, Interruption};
use numpy::ndarray::ArrayView2;
use numpy::{PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::{PyKeyboardInterrupt, PyOverflowError};
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

pyo3::import_exception!(nucleus_unet.errors, MaskError);
pyo3::import_exception!(nucleus_unet.errors, SettingsError);

/// Pixels from which on a kernel may work for so long that somebody loses patience.
const LONG: usize = 1 << 22;

/// How long work goes on before signals are looked for again.
const BETWEEN_SIGNALS: Duration = Duration::from_millis(50);

/// More threads would be a slip, and a system that cannot start them may end the process.
const MOST_THREADS: usize = 1024;

/// The process whose threads serve rayon's global pool: the one that imported the extension.
pub static POOL_OWNER: LazyLock<u32> = LazyLock::new(std::process::id);

/// The Python error for a kernel's complaint about masks, with the kernel's words.
pub fn mask_error(error: impl Display) -> PyErr {
    MaskError::new_err(error.to_string())
}

/// Run `work` without the GIL on `threads` threads (`None`: all of them). Where it is on many `pixels`, Ctrl-C ends it.
pub fn run<T: Send>(
    py: Python<'_>,
    threads: Option<usize>,
    pixels: usize,
    work: impl FnOnce() -> T + Send,
) -> PyResult<T> {
    let pool = match threads {
        None if std::process::id() == *POOL_OWNER => None,
        // A forked child has none of its parent's threads; work sent to their pool would wait for ever.
        None => Some(pool_of(0)?),
        Some(count) => Some(pool_of(count)?),
    };
    let work = || {
        let work = AssertUnwindSafe(|| match pool {
            Some(pool) => pool.install(work),
            None => work(),
        });
        catch_unwind(work)
    };
    py.detach(|| {
        if pixels < LONG {
            returned(work())
        } else {
            interruptible(work)
        }
    })
}

/// The `threads` of a call.
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

/// The threads to ask for: where the work is little, the caller's own, which `run` takes for work that is not shared out.
pub fn threads_for(little: bool, threads: Option<usize>) -> Option<usize> {
    threads.filter(|_| !little)
}

/// Let another thread work, and look meanwhile whether there is a signal: Python runs handlers on its main thread alone.
fn interruptible<T: Send>(work: impl FnOnce() -> thread::Result<T> + Send) -> PyResult<T> {
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        scope.spawn(move || sender.send(work()));
        loop {
            if let Ok(outcome) = receiver.recv_timeout(BETWEEN_SIGNALS) {
                return returned(outcome);
            }
            if let Err(raised) = Python::attach(|py| py.check_signals()) {
                // Until the scope has seen the end of the other thread, which reads what the caller owns.
                let _interruption = Interruption::new();
                let _ = receiver.recv();
                return Err(raised);
            }
        }
    })
}

/// What work returned; an interruption of another call, which ends all, ends this one alike.
fn returned<T>(outcome: thread::Result<T>) -> PyResult<T> {
    outcome.or_else(|payload| {
        if payload.is::<Interrupted>() {
            Err(PyKeyboardInterrupt::new_err(()))
        } else {
            resume_unwind(payload)
        }
    })
}

/// A pool of so many threads and the process that they are in.
struct Pool {
    process: u32,
    threads: usize,
    pool: Arc<ThreadPool>,
}

/// A pool of so many threads; 0 stands for all cores. The last one is kept: starting threads takes longer than many a
/// call works. The lock is held under the GIL alone, so that no fork can find it taken.
fn pool_of(threads: usize) -> PyResult<Arc<ThreadPool>> {
    static LAST: Mutex<Option<Pool>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some(kept) = &*last
        && (kept.process, kept.threads) == (process, threads)
    {
        return Ok(Arc::clone(&kept.pool));
    }
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = Arc::new(pool.map_err(|error| SettingsError::new_err(format!("threads: {error}")))?);
    let new = Pool {
        process,
        threads,
        pool: Arc::clone(&pool),
    };
    match last.replace(new) {
        // Its threads stayed in the parent; telling them to end could wait for locks that nobody gives back.
        Some(old) if old.process != process => mem::forget(old),
        _ => {}
    }
    Ok(pool)
}

/// The pixels of a label image, which must lie in memory as the kernels read them.
pub fn label_image<'a>(array: &'a PyReadonlyArray2<'_, u32>) -> PyResult<ArrayView2<'a, u32>> {
    if array.is_c_contiguous() && array.is_aligned() {
        Ok(array.as_array())
    } else {
        Err(MaskError::new_err(
            "labels: expected an aligned, C-contiguous array; numpy.require(labels, requirements='CA') makes one",
        ))
    }
}
