//! `nucleus_kernels::labels::relabel` for Python.

use nucleus_kernels::labels::relabel as kernel;
use numpy::{PyArray1, PyReadonlyArray2};
use pyo3::prelude::*;

use super::{Labels, in_raster_order, new_labels};

#[pyfunction]
pub fn relabel_sequential<'py>(
    py: Python<'py>,
    labels: PyReadonlyArray2<'py, u32>,
) -> PyResult<(Labels<'py>, Bound<'py, PyArray1<u32>>)> {
    let (renumbered, old_labels) = new_labels(py, &labels, None, |labels, renumbered| {
        Ok(in_raster_order(
            labels,
            renumbered,
            kernel::relabel_sequential,
        ))
    })?;
    Ok((renumbered, PyArray1::from_vec(py, old_labels)))
}
