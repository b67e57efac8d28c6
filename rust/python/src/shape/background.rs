//! `nucleus_kernels::shape::background` for Python.

use nucleus_kernels::shape::background as kernel;
use numpy::{IntoPyArray, Ix2, PyArray1, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::arrays::array;
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
    let boxes = array::<i64, Ix2>("boxes", "an array (N, 4) of int64", boxes)?;
    if boxes.shape()[1] != 4 {
        return Err(border::mask_error(format!(
            "boxes: expected an array (N, 4), got shape {:?}",
            boxes.shape()
        )));
    }
    let rectangles: Vec<[i64; 4]> = boxes
        .as_array()
        .rows()
        .into_iter()
        .map(|row| [row[0], row[1], row[2], row[3]])
        .collect();
    let views = (labels.as_array(), intensity.as_array());
    let found = border::run(py, threads, views.0.len(), || {
        kernel::backgrounds(views.0, views.1, &rectangles)
    })?
    .map_err(border::mask_error)?;
    Ok(found.into_pyarray(py))
}
