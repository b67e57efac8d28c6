//! `nucleus_kernels::octave` for Python.

use nucleus_kernels::octave as kernel;
use numpy::{Ix2, PyArray2};
use pyo3::prelude::*;

use crate::arrays::{allocated, array, filled};
use crate::border;

#[pyfunction]
#[pyo3(signature = (pixels, *, threads=None))]
pub fn halve<'py>(
    py: Python<'py>,
    pixels: &Bound<'py, PyAny>,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<(Bound<'py, PyArray2<f32>>, f64)> {
    let pixels = array::<f32, Ix2>("pixels", "an array (H, W) of float32", pixels)?;
    let pixels = pixels.as_array();
    let (height, width) = pixels.dim();
    let means = allocated(py, "empty", (height / 2, width / 2))?;
    filled(means, threads, pixels.len(), |means| {
        kernel::halve(pixels, means)
    })
}
