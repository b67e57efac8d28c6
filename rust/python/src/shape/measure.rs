//! `nucleus_kernels::shape::measure` for Python.

use nucleus_kernels::shape::measure as kernel;
use numpy::ndarray::ArrayView2;
use numpy::{Ix2, PyArray1, PyArray2};
use pyo3::prelude::*;

use crate::arrays::{Values, array, column, columns, with_values};
use crate::border;

type Columns<'py> = (
    Bound<'py, PyArray1<u32>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray2<i64>>,
    Bound<'py, PyArray2<f64>>,
    Option<Bound<'py, PyArray1<f64>>>,
);

#[pyfunction]
#[pyo3(signature = (labels, *, intensity=None, threads=None))]
pub fn measure<'py>(
    py: Python<'py>,
    labels: &Bound<'py, PyAny>,
    intensity: Option<&Bound<'py, PyAny>>,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Columns<'py>> {
    let labels = array::<u32, Ix2>("labels", "an array (H, W) of uint32", labels)?;
    let labels = labels.as_array();
    let values = intensity
        .map(|image| Values::new("intensity", image))
        .transpose()?;
    let table = match &values {
        None => border::run(py, threads, labels.len(), || {
            kernel::measure(labels, None::<ArrayView2<'_, f32>>)
        }),
        Some(values) => with_values!(values, image => {
            border::run(py, threads, labels.len(), || kernel::measure(labels, Some(image)))
        }),
    }?;
    Ok((
        column(py, &table, |row| row.label),
        column(py, &table, |row| row.area as i64),
        columns(py, &table, |row| row.bounding_box.map(|side| side as i64)),
        columns(py, &table, |row| row.centroid),
        values
            .is_some()
            .then(|| column(py, &table, |row| row.mean_intensity.unwrap_or(f64::NAN))),
    ))
}
