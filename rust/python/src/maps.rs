//! `nucleus_kernels::maps` for Python.

use nucleus_kernels::maps as kernel;
use numpy::{Ix3, PyArray3, PyArrayMethods};
use pyo3::prelude::*;

use crate::arrays::array;
use crate::border::{self, mask_error};

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
    let maps: Bound<'py, PyArray3<u8>> = py
        .import("numpy")?
        .call_method1("empty", ((height, width, 4), numpy::dtype::<u8>(py)))?
        .cast_into()?;
    let mut elements = maps.readwrite();
    let view = elements.as_array_mut();
    border::run(py, threads, height * width, || {
        kernel::maps_of_output(output, offset_steps, least_foreground, view)
    })?
    .map_err(mask_error)?;
    drop(elements);
    Ok(maps)
}
