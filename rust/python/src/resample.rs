//! `nucleus_kernels::resample` for Python.

use nucleus_kernels::resample::{self as kernel, Taps};
use numpy::{Ix3, PyArray3, PyReadonlyArray2};
use pyo3::prelude::*;

use crate::arrays::{allocated, array, filled};
use crate::border;

/// Pixels and their weights.
type Axis<'py> = (PyReadonlyArray2<'py, i64>, PyReadonlyArray2<'py, f32>);

#[pyfunction]
#[pyo3(signature = (pixels, rows, columns, *, threads=None))]
pub fn resample<'py>(
    py: Python<'py>,
    pixels: &Bound<'py, PyAny>,
    rows: Axis<'py>,
    columns: Axis<'py>,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Bound<'py, PyArray3<f32>>> {
    let pixels = array::<f32, Ix3>("pixels", "an array (H, W, channels) of float32", pixels)?;
    let pixels = pixels.as_array();
    let [rows, columns] = [&rows, &columns].map(|(pixels, weights)| Taps {
        pixels: pixels.as_array(),
        weights: weights.as_array(),
    });
    let shape = (rows.pixels.ncols(), columns.pixels.ncols(), pixels.dim().2);
    let resampled = allocated(py, "empty", shape)?;
    let (resampled, ()) = filled(resampled, threads, pixels.len(), |resampled| {
        kernel::resample(pixels, rows, columns, resampled)
    })?;
    Ok(resampled)
}
