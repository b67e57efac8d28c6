//! `nucleus_kernels::shape::background` for Python.

use nucleus_kernels::shape::background as kernel;
use numpy::{IntoPyArray, Ix2, PyArray1};
use pyo3::prelude::*;

use crate::arrays::{array, rows};
use crate::border;

#[pyfunction]
#[pyo3(signature = (labels, intensity, boxes, *, threads=None))]
pub fn backgrounds<'py>(
    py: Python<'py>,
    labels: &Bound<'py, PyAny>,
    intensity: &Bound<'py, PyAny>,
    boxes: &Bound<'py, PyAny>,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let labels = array::<u32, Ix2>("labels", "an array (H, W) of uint32", labels)?;
    let intensity = array::<f32, Ix2>("intensity", "an array (H, W) of float32", intensity)?;
    let boxes = rows("boxes", "an array (N, 4) of int64", boxes)?;
    let views = (labels.as_array(), intensity.as_array());
    let found = border::run(py, threads, views.0.len(), || {
        kernel::backgrounds(views.0, views.1, &boxes)
    })?;
    Ok(found.into_pyarray(py))
}
