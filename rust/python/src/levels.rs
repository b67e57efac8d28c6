//! `nucleus_kernels::levels` for Python.

use nucleus_kernels::levels::{self as kernel, Value};
use numpy::{Element, IntoPyArray, IxDyn, PyArray1, PyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;

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
#[pyo3(signature = (pixels, *, low, high))]
pub fn normalise<'py>(
    pixels: &Bound<'py, PyAny>,
    low: f64,
    high: f64,
) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
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
    let pixels = array::<T, IxDyn>("pixels", EXPECTED, pixels)?;
    let values = pixels.as_slice().map_err(not_contiguous)?;
    let counts = border::run(py, Some(1), values.len(), || {
        Ok(kernel::count_values(values))
    })?;
    Ok(counts.into_pyarray(py))
}

fn normalised<'py, T: Element + Value>(
    pixels: &Bound<'py, PyAny>,
    low: f64,
    high: f64,
) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
    let py = pixels.py();
    let pixels = array::<T, IxDyn>("pixels", EXPECTED, pixels)?;
    let values = pixels.as_slice().map_err(not_contiguous)?;
    let shares = allocated::<f32, IxDyn>(py, "empty", pixels.shape())?;
    let (shares, ()) = filled(shares, Some(1), values.len(), |mut shares| {
        let shares = shares
            .as_slice_mut()
            .expect("a new array lies in one piece");
        kernel::normalise(values, low as f32, (high - low) as f32, shares);
        Ok(())
    })?;
    Ok(shares)
}

const EXPECTED: &str = "a C-contiguous array of uint8 or uint16";

fn not_contiguous(_: impl Sized) -> PyErr {
    MaskError::new_err(format!("pixels: expected {EXPECTED}, got one with gaps"))
}
