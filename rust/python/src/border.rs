//! The one place where Python hands over to Rust: the GIL is released and a thread pool of the asked size serves.

use std::fmt::Display;
use std::sync::LazyLock;

use numpy::ndarray::ArrayView2;
use numpy::{PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

pyo3::import_exception!(nucleus_unet.errors, MaskError);
pyo3::import_exception!(nucleus_unet.errors, SettingsError);

/// The process whose threads serve rayon's global pool: the one that imported the extension.
pub static POOL_OWNER: LazyLock<u32> = LazyLock::new(std::process::id);

/// The Python error for a kernel's complaint about masks, with the kernel's words.
pub fn mask_error(error: impl Display) -> PyErr {
    MaskError::new_err(error.to_string())
}

/// Run `work` without the GIL on `threads` threads (`None`: all of them).
pub fn run<T: Send>(
    py: Python<'_>,
    threads: Option<usize>,
    work: impl FnOnce() -> T + Send,
) -> PyResult<T> {
    match threads {
        None if std::process::id() == *POOL_OWNER => Ok(py.detach(work)),
        // A forked child has none of its parent's threads; work sent to their pool would wait for ever.
        None => on_new_pool(py, 0, work),
        Some(0) => Err(SettingsError::new_err(
            "threads: expected at least 1 or None for all cores, got 0",
        )),
        Some(count) => on_new_pool(py, count, work),
    }
}

/// Run `work` on a pool of its own; 0 threads stands for all cores.
fn on_new_pool<T: Send>(
    py: Python<'_>,
    threads: usize,
    work: impl FnOnce() -> T + Send,
) -> PyResult<T> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|error| SettingsError::new_err(format!("threads: {error}")))?;
    Ok(py.detach(|| pool.install(work)))
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
