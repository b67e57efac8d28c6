//! `nucleus_kernels::labels::smooth` for Python.

use nucleus_kernels::labels::smooth as kernel;
use numpy::PyReadonlyArray2;
use pyo3::prelude::*;

use super::{Labels, new_labels};
use crate::border;

#[pyfunction]
#[pyo3(signature = (labels, radius, *, threads=None))]
pub fn smooth_labels<'py>(
    py: Python<'py>,
    labels: PyReadonlyArray2<'py, u32>,
    radius: usize,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Labels<'py>> {
    let (smoothed, ()) = new_labels(py, &labels, threads, |labels, smoothed| {
        kernel::smooth_labels(labels, smoothed, radius)
    })?;
    Ok(smoothed)
}
