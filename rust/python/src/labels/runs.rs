//! `nucleus_kernels::labels::runs` for Python.

use nucleus_kernels::labels::runs as kernel;
use numpy::{IntoPyArray, Ix1, Ix2, PyArray1, PyArray2};
use pyo3::prelude::*;

use super::Labels;
use crate::arrays::{array, column, columns, rows, written};
use crate::border;

type Runs<'py> = (
    Bound<'py, PyArray1<u32>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray2<i32>>,
);

#[pyfunction]
#[pyo3(signature = (labels, *, threads=None))]
pub fn label_runs<'py>(
    py: Python<'py>,
    labels: &Bound<'py, PyAny>,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Runs<'py>> {
    let labels = array::<u32, Ix2>("labels", "an array (H, W) of uint32", labels)?;
    let view = labels.as_array();
    let found = border::run(py, threads, view.len(), || kernel::label_runs(view))?;
    Ok((
        found.labels.into_pyarray(py),
        column(py, &found.first, |place| *place as i64),
        columns(py, &found.runs, |run| *run),
    ))
}

#[pyfunction]
#[pyo3(signature = (runs, labels, *, corner, shape))]
pub fn draw_runs<'py>(
    py: Python<'py>,
    runs: &Bound<'py, PyAny>,
    labels: &Bound<'py, PyAny>,
    corner: [i64; 2],
    shape: (usize, usize),
) -> PyResult<Labels<'py>> {
    let runs = rows::<i64, 3>("runs", "an array (M, 3) of int64", runs)?;
    let labels = array::<u32, Ix1>("labels", "an array (M,) of uint32", labels)?;
    let labels = labels.as_array();
    let labels = labels.as_standard_layout();
    let labels = labels.as_slice().expect("a vector lies in one piece");
    let (image, ()) = written(py, shape, Some(1), |image| {
        kernel::draw_runs(&runs, labels, corner, image)
    })?;
    Ok(image)
}
