//! `nucleus_kernels::shape::simplify` for Python.

use nucleus_kernels::shape::contour::Vertex;
use nucleus_kernels::shape::simplify::{self as kernel, SimplifyError};
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, Ix2, PyArray2};
use pyo3::prelude::*;

use crate::arrays::array;
use crate::border::{self, SettingsError, mask_error};

/// The work on one vertex, in pixels of other kernels.
const PIXELS_PER_VERTEX: usize = 64;

#[pyfunction]
pub fn simplify_ring<'py>(
    py: Python<'py>,
    ring: &Bound<'py, PyAny>,
    tolerance: f64,
) -> PyResult<Bound<'py, PyArray2<i32>>> {
    let ring = array::<i32, Ix2>("ring", "an array (K, 2) of int32", ring)?;
    let vertices: Vec<Vertex> = match ring.as_array() {
        view if view.ncols() == 2 => view
            .rows()
            .into_iter()
            .map(|row| [row[0], row[1]])
            .collect(),
        view => {
            let columns = view.ncols();
            return Err(mask_error(format!(
                "ring: expected an array (K, 2) of int32, got {columns} columns"
            )));
        }
    };
    let simplified = border::run(py, None, PIXELS_PER_VERTEX * vertices.len(), || {
        kernel::simplify_ring(&vertices, tolerance)
    })?;
    let simplified = simplified.map_err(|error| match error {
        SimplifyError::Tolerance(_) => SettingsError::new_err(error.to_string()),
        SimplifyError::NotARing(_) | SimplifyError::NotSimple(..) => mask_error(error),
    })?;
    Ok(Array2::from(simplified).into_pyarray(py))
}
