//! `nucleus_kernels::blend` for Python.

use nucleus_kernels::blend as kernel;
use numpy::{Ix2, Ix4, PyArray3};
use pyo3::prelude::*;

use crate::arrays::{array, rows, written};
use crate::border;

#[pyfunction]
#[pyo3(signature = (tiles, corners, shape, *, weights, threads=None))]
pub fn blend_tiles<'py>(
    py: Python<'py>,
    tiles: &Bound<'py, PyAny>,
    corners: &Bound<'py, PyAny>,
    shape: (usize, usize),
    weights: &Bound<'py, PyAny>,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Bound<'py, PyArray3<f32>>> {
    let tiles = array::<f32, Ix4>("tiles", "an array (N, h, w, C) of float32", tiles)?;
    let corners = rows("corners", "an array (N, 2) of int64", corners)?;
    let weights = array::<f32, Ix2>("weights", "an array (h, w) of float32", weights)?;
    let (tiles, weights) = (tiles.as_array(), weights.as_array());
    let shape = (shape.0, shape.1, tiles.dim().3);
    let (canvas, ()) = written(py, shape, threads, |canvas| {
        kernel::blend_tiles(tiles, &corners, weights, canvas)
    })?;
    Ok(canvas)
}
