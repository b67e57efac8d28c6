//! `nucleus_kernels::shape::moments` for Python.

use nucleus_kernels::shape::moments as kernel;
use numpy::{Ix2, PyArray1, PyArray2};
use pyo3::prelude::*;

use crate::arrays::{array, column, columns};
use crate::border;

type Columns<'py> = (
    Bound<'py, PyArray1<u32>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray2<f64>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray2<f64>>,
    Option<Bound<'py, PyArray2<f32>>>,
);

#[pyfunction]
#[pyo3(signature = (labels, *, intensity=None, threads=None))]
pub fn shapes<'py>(
    py: Python<'py>,
    labels: &Bound<'py, PyAny>,
    intensity: Option<&Bound<'py, PyAny>>,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Columns<'py>> {
    let labels = array::<u32, Ix2>("labels", "an array (H, W) of uint32", labels)?;
    let intensity = intensity
        .map(|image| array::<f32, Ix2>("intensity", "an array (H, W) of float32", image))
        .transpose()?;
    let views = (
        labels.as_array(),
        intensity.as_ref().map(|image| image.as_array()),
    );
    let table = border::run(py, threads, views.0.len(), || {
        kernel::shapes(views.0, views.1)
    })?;
    Ok((
        column(py, &table, |row| row.label),
        column(py, &table, |row| row.area as i64),
        columns(py, &table, |row| row.axis_lengths),
        column(py, &table, |row| row.eccentricity),
        column(py, &table, |row| row.orientation),
        column(py, &table, |row| row.perimeter),
        column(py, &table, |row| row.convex_area),
        columns(py, &table, |row| row.feret_diameters),
        intensity.is_some().then(|| {
            columns(py, &table, |row| {
                row.intensity_range.unwrap_or([f32::NAN; 2])
            })
        }),
    ))
}
