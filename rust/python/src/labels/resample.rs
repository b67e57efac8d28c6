//! `nucleus_kernels::labels::resample` for Python.

use nucleus_kernels::labels::resample::{self as kernel, Point};
use numpy::{PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;

use super::Labels;
use crate::arrays::written;
use crate::border::{self, MaskError};

/// Pixels before and after each point of an axis, and the share of the way between them.
type Points<'py> = (
    PyReadonlyArray1<'py, i64>,
    PyReadonlyArray1<'py, i64>,
    PyReadonlyArray1<'py, f64>,
);

#[pyfunction]
#[pyo3(signature = (labels, foreground, rows, columns, *, threshold, threads=None))]
pub fn resample_labels<'py>(
    py: Python<'py>,
    labels: PyReadonlyArray2<'py, u32>,
    foreground: PyReadonlyArray2<'py, u8>,
    rows: Points<'py>,
    columns: Points<'py>,
    threshold: f64,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Labels<'py>> {
    let (rows, columns) = (points(&rows)?, points(&columns)?);
    let (labels, foreground) = (labels.as_array(), foreground.as_array());
    let (resampled, ()) = written(py, (rows.len(), columns.len()), threads, |resampled| {
        kernel::resample_labels(labels, foreground, threshold, &rows, &columns, resampled)
    })?;
    Ok(resampled)
}

fn points(axis: &Points<'_>) -> PyResult<Vec<Point>> {
    let (before, after, share) = (axis.0.as_array(), axis.1.as_array(), axis.2.as_array());
    let pixel = |index: i64| {
        usize::try_from(index)
            .map_err(|_| MaskError::new_err(format!("points: expected pixels from 0, got {index}")))
    };
    before
        .iter()
        .zip(after)
        .zip(share)
        .map(|((&before, &after), &share)| {
            Ok(Point {
                before: pixel(before)?,
                after: pixel(after)?,
                share,
            })
        })
        .collect()
}
