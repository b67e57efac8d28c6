//! `nucleus_kernels::labels::expand` for Python.

use nucleus_kernels::labels::expand as kernel;
use numpy::PyReadonlyArray2;
use pyo3::prelude::*;

use super::{Labels, new_labels};
use crate::border;

#[pyfunction]
#[pyo3(signature = (labels, distance, *, threads=None))]
pub fn expand_labels<'py>(
    py: Python<'py>,
    labels: PyReadonlyArray2<'py, u32>,
    distance: f64,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Labels<'py>> {
    let (expanded, ()) = new_labels(py, &labels, threads, |labels, expanded| {
        kernel::expand_labels(labels, expanded, distance)
    })?;
    Ok(expanded)
}
