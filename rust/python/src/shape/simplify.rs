//! `nucleus_kernels::shape::simplify` for Python.

use nucleus_kernels::shape::simplify as kernel;
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray2};
use pyo3::prelude::*;

use crate::arrays::rows;
use crate::border;

/// The work on one vertex, in pixels of other kernels.
const PIXELS_PER_VERTEX: usize = 64;

#[pyfunction]
pub fn simplify_ring<'py>(
    py: Python<'py>,
    ring: &Bound<'py, PyAny>,
    tolerance: f64,
) -> PyResult<Bound<'py, PyArray2<i32>>> {
    let ring = rows("ring", "an array (K, 2) of int32", ring)?;
    let simplified = border::run(py, None, PIXELS_PER_VERTEX * ring.len(), || {
        kernel::simplify_ring(&ring, tolerance)
    })?;
    Ok(Array2::from(simplified).into_pyarray(py))
}
