//! Connected components: `nucleus_kernels::components` for Python.

use nucleus_kernels::components::{self as kernel, Connectivity};
use numpy::{PyArray2, PyArrayMethods};
use pyo3::prelude::*;

use crate::arrays::{self, Pixels};
use crate::border::{self, SettingsError, mask_error};

#[pyfunction]
#[pyo3(signature = (image, *, connectivity, threads=None))]
pub fn label<'py>(
    py: Python<'py>,
    image: &Bound<'py, PyAny>,
    connectivity: i64,
    threads: Option<usize>,
) -> PyResult<Bound<'py, PyArray2<u32>>> {
    let connectivity = neighbours(connectivity)?;
    let image = Pixels::new("image", image)?;
    let labels = arrays::zeros::<u32>(py, image.shape())?;
    let mut pixels = labels.readwrite();
    let view = pixels.as_array_mut();
    let counted = match &image {
        Pixels::U8(image) => {
            let image = image.as_array();
            border::run(py, threads, || kernel::label(image, connectivity, view))
        }
        Pixels::U16(image) => {
            let image = image.as_array();
            border::run(py, threads, || kernel::label(image, connectivity, view))
        }
        Pixels::U32(image) => {
            let image = image.as_array();
            border::run(py, threads, || kernel::label(image, connectivity, view))
        }
    };
    counted?.map_err(mask_error)?;
    drop(pixels);
    Ok(labels)
}

/// Connectivity as scikit-image counts it: how many steps along axes lead to a neighbour.
pub fn neighbours(connectivity: i64) -> PyResult<Connectivity> {
    match connectivity {
        1 => Ok(Connectivity::Four),
        2 => Ok(Connectivity::Eight),
        _ => Err(SettingsError::new_err(format!(
            "connectivity: expected 1 (pixels that share an edge) or 2 (or a corner), got {connectivity}"
        ))),
    }
}
