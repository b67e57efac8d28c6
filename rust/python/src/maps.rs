//! `nucleus_kernels::maps` for Python.

use nucleus_kernels::maps as kernel;
use numpy::{Ix3, PyArray3};
use pyo3::prelude::*;

use crate::arrays::{allocated, array, filled};
use crate::border;

#[pyfunction]
#[pyo3(signature = (output, *, offset_steps, least_foreground=0, threads=None))]
pub fn maps_of_output<'py>(
    py: Python<'py>,
    output: &Bound<'py, PyAny>,
    offset_steps: f32,
    least_foreground: u8,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let output = array::<f32, Ix3>("output", "an array (4, H, W) of float32", output)?;
    let output = output.as_array();
    let (_, height, width) = output.dim();
    let maps = allocated(py, "empty", (height, width, 4))?;
    let (maps, ()) = filled(maps, threads, height * width, |maps| {
        kernel::maps_of_output(output, offset_steps, least_foreground, maps)
    })?;
    Ok(maps)
}
