//! `nucleus_kernels::geometry::neighbours` for Python.

use nucleus_kernels::geometry::neighbours as kernel;
use numpy::PyArray1;
use pyo3::prelude::*;

use crate::arrays::{column, rows};
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
    let points = rows("points", "an array (N, 2) of float64", points)?;
    if !(radius > 0.0 && radius.is_finite()) {
        return Err(border::SettingsError::new_err(format!(
            "radius: expected a positive number, got {radius}"
        )));
    }
    let found = border::run(py, threads, points.len(), || {
        Ok(kernel::neighbours(&points, radius))
    })?;
    Ok((
        column(py, &found, |each| each.nearest),
        column(py, &found, |each| each.count as i64),
    ))
}
