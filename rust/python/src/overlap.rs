//! The contingency table of two label images: `nucleus_kernels::overlap` for Python.

use nucleus_kernels::overlap;
use numpy::{PyArray1, PyReadonlyArray2};
use pyo3::prelude::*;

use crate::border::{self, mask_error};

type Column<'py, T> = Bound<'py, PyArray1<T>>;

#[pyfunction]
#[pyo3(signature = (a, b, *, threads=None))]
pub fn contingency<'py>(
    py: Python<'py>,
    a: PyReadonlyArray2<'py, u32>,
    b: PyReadonlyArray2<'py, u32>,
    threads: Option<usize>,
) -> PyResult<(Column<'py, u32>, Column<'py, u32>, Column<'py, i64>)> {
    let (a, b) = (border::label_image(&a)?, border::label_image(&b)?);
    let cells = border::run(py, threads, || overlap::contingency(a, b))?.map_err(mask_error)?;
    Ok((
        PyArray1::from_iter(py, cells.iter().map(|cell| cell.a)),
        PyArray1::from_iter(py, cells.iter().map(|cell| cell.b)),
        PyArray1::from_iter(py, cells.iter().map(|cell| cell.pixels as i64)),
    ))
}
