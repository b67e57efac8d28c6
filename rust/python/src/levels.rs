//! `nucleus_kernels::levels` for Python.

use nucleus_kernels::levels::{self as kernel, Value};
use numpy::{
    Element, IntoPyArray, Ix1, IxDyn, PyArray1, PyArray3, PyArrayDyn, PyArrayMethods,
    PyReadonlyArray1, PyReadonlyArrayDyn, PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::arrays::{allocated, array, filled};
use crate::border::{self, MaskError};

#[pyfunction]
pub fn count_values<'py>(pixels: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArray1<i64>>> {
    if pixels.cast::<PyArrayDyn<u8>>().is_ok() {
        counted::<u8>(pixels)
    } else {
        counted::<u16>(pixels)
    }
}

#[pyfunction]
pub fn box_sums<'py>(
    pixels: &Bound<'py, PyAny>,
    rows: PyReadonlyArray1<'py, i64>,
    columns: PyReadonlyArray1<'py, i64>,
) -> PyResult<Bound<'py, PyArray3<i64>>> {
    if pixels.cast::<PyArrayDyn<u8>>().is_ok() {
        summed::<u8>(pixels, &rows, &columns)
    } else {
        summed::<u16>(pixels, &rows, &columns)
    }
}

#[pyfunction]
#[pyo3(signature = (pixels, *, low, high))]
pub fn normalise<'py>(
    pixels: &Bound<'py, PyAny>,
    low: f64,
    high: f64,
) -> PyResult<Bound<'py, PyAny>> {
    if pixels.cast::<PyArrayDyn<u8>>().is_ok() {
        normalised::<u8>(pixels, low, high)
    } else {
        normalised::<u16>(pixels, low, high)
    }
}

fn counted<'py, T: Element + Value>(
    pixels: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyArray1<i64>>> {
    let py = pixels.py();
    let pixels = values_of::<T>(pixels)?;
    let values = pixels.as_slice()?;
    let counts = border::run(py, Some(1), values.len(), || {
        Ok(kernel::count_values(values))
    })?;
    Ok(counts.into_pyarray(py))
}

fn summed<'py, T: Element + Value>(
    pixels: &Bound<'py, PyAny>,
    rows: &PyReadonlyArray1<'py, i64>,
    columns: &PyReadonlyArray1<'py, i64>,
) -> PyResult<Bound<'py, PyArray3<i64>>> {
    let py = pixels.py();
    let pixels = values_of::<T>(pixels)?;
    let &[height, width, channels] = pixels.shape() else {
        return Err(MaskError::new_err(format!(
            "pixels: expected an array (H, W, channels), got shape {:?}",
            pixels.shape()
        )));
    };
    let (rows, columns) = (
        cuts("rows", rows, height)?,
        cuts("columns", columns, width)?,
    );
    let values = pixels.as_slice()?;
    let sums = border::run(py, Some(1), values.len(), || {
        Ok(kernel::box_sums(values, width, channels, &rows, &columns))
    })?;
    sums.into_pyarray(py)
        .reshape([rows.len() - 1, columns.len() - 1, channels])
}

/// Where boxes begin and end along an axis of `size` pixels.
fn cuts(name: &str, places: &PyReadonlyArray1<'_, i64>, size: usize) -> PyResult<Vec<usize>> {
    let places: Option<Vec<usize>> = places
        .as_array()
        .iter()
        .map(|&place| usize::try_from(place).ok())
        .collect();
    match places {
        Some(cuts) if cuts.is_sorted() && cuts.last().is_some_and(|&last| last <= size) => Ok(cuts),
        _ => Err(MaskError::new_err(format!(
            "{name}: expected ascending numbers of pixels from 0 to {size}"
        ))),
    }
}

fn normalised<'py, T: Element + Value>(
    pixels: &Bound<'py, PyAny>,
    low: f64,
    high: f64,
) -> PyResult<Bound<'py, PyAny>> {
    let py = pixels.py();
    let pixels = values_of::<T>(pixels)?;
    let values = pixels.as_slice()?;
    // A flat array has a view of any length; one of more than 32 axes would have none.
    let shares = allocated::<f32, Ix1>(py, "empty", values.len())?;
    let (shares, ()) = filled(shares, Some(1), values.len(), |mut shares| {
        let shares = shares
            .as_slice_mut()
            .expect("a new array lies in one piece");
        kernel::normalise(values, low as f32, (high - low) as f32, shares);
        Ok(())
    })?;
    shares.call_method1("reshape", (PyTuple::new(py, pixels.shape())?,))
}

/// The argument as an array whose elements lie in the order of its axes, without gaps.
fn values_of<'py, T: Element>(pixels: &Bound<'py, PyAny>) -> PyResult<PyReadonlyArrayDyn<'py, T>> {
    let values = array::<T, IxDyn>("pixels", EXPECTED, pixels)?;
    if !values.is_c_contiguous() {
        return Err(MaskError::new_err(format!(
            "pixels: expected {EXPECTED}, got one that is not C-contiguous"
        )));
    }
    Ok(values)
}

const EXPECTED: &str = "a C-contiguous array of uint8 or uint16";
