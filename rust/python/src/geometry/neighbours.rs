//! `nucleus_kernels::geometry::neighbours` for Python.

use nucleus_kernels::geometry::neighbours as kernel;
use numpy::{Ix2, PyArray1, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::arrays::{array, column};
use crate::border;

type Found<'py> = (Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<i64>>);

#[pyfunction]
#[pyo3(signature = (points, radius, *, threads=None))]
pub fn neighbours<'py>(
    py: Python<'py>,
    points: &Bound<'py, PyAny>,
    radius: f64,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Found<'py>> {
    let points = array::<f64, Ix2>("points", "an array (N, 2) of float64", points)?;
    if points.shape()[1] != 2 {
        return Err(border::mask_error(format!(
            "points: expected an array (N, 2), got shape {:?}",
            points.shape()
        )));
    }
    if !(radius > 0.0 && radius.is_finite()) {
        return Err(border::SettingsError::new_err(format!(
            "radius: expected a positive number, got {radius}"
        )));
    }
    let points: Vec<[f64; 2]> = points
        .as_array()
        .rows()
        .into_iter()
        .map(|row| [row[0], row[1]])
        .collect();
    let found = border::run(py, threads, points.len(), || {
        kernel::neighbours(&points, radius)
    })?;
    Ok((
        column(py, &found, |each| each.nearest),
        column(py, &found, |each| each.count as i64),
    ))
}
