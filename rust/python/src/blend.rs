//! `nucleus_kernels::blend` for Python.

use nucleus_kernels::blend as kernel;
use numpy::ndarray::ArrayViewMut3;
use numpy::{Ix2, Ix4, PyArray3, PyArrayMethods};
use pyo3::prelude::*;

use crate::arrays::array;
use crate::border::{self, mask_error};

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
    let corners = array::<i64, Ix2>("corners", "an array (N, 2) of int64", corners)?;
    let weights = array::<f32, Ix2>("weights", "an array (h, w) of float32", weights)?;
    let (tiles, weights) = (tiles.as_array(), weights.as_array());
    let corners = corners.as_array();
    if corners.ncols() != 2 {
        let columns = corners.ncols();
        return Err(mask_error(format!(
            "corners: expected an array (N, 2) of int64, got {columns} columns"
        )));
    }
    let corners: Vec<[i64; 2]> = corners
        .rows()
        .into_iter()
        .map(|row| [row[0], row[1]])
        .collect();
    // NumPy allocates the canvas, so a shape that is too large raises a MemoryError and does not abort the process.
    let canvas: Bound<'py, PyArray3<f32>> = py
        .import("numpy")?
        .call_method1(
            "zeros",
            ((shape.0, shape.1, tiles.dim().3), numpy::dtype::<f32>(py)),
        )?
        .cast_into()?;
    let mut elements = canvas.readwrite();
    let view: ArrayViewMut3<'_, f32> = elements.as_array_mut();
    border::run(py, threads, view.len(), || {
        kernel::blend_tiles(tiles, &corners, weights, view)
    })?
    .map_err(mask_error)?;
    drop(elements);
    Ok(canvas)
}
