//! `nucleus_kernels::labels::distance` for Python.

use nucleus_kernels::labels::distance as kernel;
use numpy::PyArray2;
use pyo3::prelude::*;

use crate::arrays::{Pixels, with_pixels, written};
use crate::border;

#[pyfunction]
#[pyo3(signature = (image, *, threads=None))]
pub fn distance<'py>(
    py: Python<'py>,
    image: &Bound<'py, PyAny>,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let image = Pixels::new("image", image)?;
    let (distances, ()) = with_pixels!(&image, pixels => {
        written(py, image.shape(), threads, |distances| kernel::distance(pixels, distances))
    })?;
    Ok(distances)
}
