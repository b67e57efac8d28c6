//! `nucleus_kernels::labels::fill` for Python.

use nucleus_kernels::labels::fill as kernel;
use numpy::PyReadonlyArray2;
use pyo3::prelude::*;

use super::{Labels, new_labels};

#[pyfunction]
pub fn fill_holes<'py>(
    py: Python<'py>,
    labels: PyReadonlyArray2<'py, u32>,
) -> PyResult<Labels<'py>> {
    let (filled, ()) = new_labels(py, &labels, None, |labels, filled| {
        kernel::fill_holes(labels, filled);
        Ok(())
    })?;
    Ok(filled)
}
