//! `nucleus_kernels::labels::components` for Python.

use nucleus_kernels::labels::components::{self as kernel, Connectivity};
use numpy::PyArray2;
use pyo3::prelude::*;

use crate::arrays::{Pixels, with_pixels, written};
use crate::border::{self, SettingsError};

#[pyfunction]
#[pyo3(signature = (image, *, connectivity, threads=None))]
pub fn label<'py>(
    py: Python<'py>,
    image: &Bound<'py, PyAny>,
    connectivity: i64,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Bound<'py, PyArray2<u32>>> {
    let connectivity = neighbours(connectivity)?;
    let image = Pixels::new("image", image)?;
    let (labels, _) = with_pixels!(&image, pixels => {
        written(py, image.shape(), threads, |labels| kernel::label(pixels, connectivity, labels))
    })?;
    Ok(labels)
}

/// Connectivity in the numbers of scikit-image: the most steps along axes to a neighbour.
pub fn neighbours(connectivity: i64) -> PyResult<Connectivity> {
    match connectivity {
        1 => Ok(Connectivity::Four),
        2 => Ok(Connectivity::Eight),
        _ => Err(SettingsError::new_err(format!(
            "connectivity: expected 1 (pixels that share an edge) or 2 (or a corner), got {connectivity}"
        ))),
    }
}
