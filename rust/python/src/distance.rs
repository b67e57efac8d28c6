//! Distances to other labels: `nucleus_kernels::distance` for Python.

use nucleus_kernels::distance as kernel;
use numpy::{PyArray2, PyArrayMethods};
use pyo3::prelude::*;

use crate::arrays::{self, Pixels};
use crate::border::{self, mask_error};

#[pyfunction]
#[pyo3(signature = (image, *, threads=None))]
pub fn distance<'py>(
    py: Python<'py>,
    image: &Bound<'py, PyAny>,
    threads: Option<usize>,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let image = Pixels::new("image", image)?;
    let distances = arrays::zeros::<f32>(py, image.shape())?;
    let mut pixels = distances.readwrite();
    let view = pixels.as_array_mut();
    let done = match &image {
        Pixels::U8(image) => {
            let image = image.as_array();
            border::run(py, threads, || kernel::distance(image, view))
        }
        Pixels::U16(image) => {
            let image = image.as_array();
            border::run(py, threads, || kernel::distance(image, view))
        }
        Pixels::U32(image) => {
            let image = image.as_array();
            border::run(py, threads, || kernel::distance(image, view))
        }
    };
    done?.map_err(mask_error)?;
    drop(pixels);
    Ok(distances)
}
