//! Arrays from Python, with a readable error where an array has another shape or dtype than expected.

use numpy::ndarray::{ArrayViewMut2, Dimension};
use numpy::{
    Element, IntoPyArray, PyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray,
    PyReadonlyArray2, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;

use crate::border::{self, MaskError};

/// Allocate an array of zeros, let `work` write it without the GIL, and return the array and the outcome of `work`.
///
/// NumPy allocates the array, so a shape that is too large raises a MemoryError and does not abort the process.
pub fn written<'py, T: Element, R: Send>(
    py: Python<'py>,
    shape: (usize, usize),
    threads: Option<usize>,
    work: impl FnOnce(ArrayViewMut2<'_, T>) -> R + Send,
) -> PyResult<(Bound<'py, PyArray2<T>>, R)> {
    // For larger arrays, NumPy would raise a ValueError.
    let bytes = (shape.0.max(1).checked_mul(shape.1.max(1)))
        .and_then(|pixels| pixels.checked_mul(size_of::<T>()))
        .filter(|&bytes| isize::try_from(bytes).is_ok());
    if bytes.is_none() {
        let message = format!("an array of shape {shape:?} is larger than any memory");
        return Err(PyMemoryError::new_err(message));
    }
    let array: Bound<'py, PyArray2<T>> = py
        .import("numpy")?
        .call_method1("zeros", (shape, numpy::dtype::<T>(py)))?
        .cast_into()?;
    let mut elements = array.readwrite();
    let view = elements.as_array_mut();
    let outcome = border::run(py, threads, view.len(), || work(view))?;
    drop(elements);
    Ok((array, outcome))
}

/// Borrow an argument as an array, without a copy.
///
/// `expected` describes shape and dtype. Another array raises a `MaskError` that describes the argument.
pub fn array<'py, T: Element, D: Dimension>(
    name: &str,
    expected: &str,
    argument: &Bound<'py, PyAny>,
) -> PyResult<PyReadonlyArray<'py, T, D>> {
    if let Ok(array) = argument.cast::<PyArray<T, D>>()
        && array.is_aligned()
    {
        return Ok(array.readonly());
    }
    let came = match argument.cast::<PyUntypedArray>() {
        Ok(array) => format!(
            "shape {:?} of {}{}",
            array.shape(),
            if array.is_aligned() { "" } else { "unaligned " },
            array.dtype().str()?
        ),
        Err(_) => argument.get_type().name()?.to_string(),
    };
    Err(MaskError::new_err(format!(
        "{name}: expected {expected}, got {came}"
    )))
}

/// An array of one value for each row of a table.
pub fn column<'py, R, T: Element>(
    py: Python<'py>,
    table: &[R],
    value: impl Fn(&R) -> T,
) -> Bound<'py, PyArray1<T>> {
    table.iter().map(value).collect::<Vec<T>>().into_pyarray(py)
}

/// A binary image or a label image of any unsigned dtype up to 32 bits.
pub enum Pixels<'py> {
    U8(PyReadonlyArray2<'py, u8>),
    U16(PyReadonlyArray2<'py, u16>),
    U32(PyReadonlyArray2<'py, u32>),
}

/// Evaluate an expression with the view of `Pixels` of any dtype.
macro_rules! with_pixels {
    ($pixels:expr, $view:ident => $work:expr) => {
        match $pixels {
            $crate::arrays::Pixels::U8(pixels) => {
                let $view = pixels.as_array();
                $work
            }
            $crate::arrays::Pixels::U16(pixels) => {
                let $view = pixels.as_array();
                $work
            }
            $crate::arrays::Pixels::U32(pixels) => {
                let $view = pixels.as_array();
                $work
            }
        }
    };
}
pub(crate) use with_pixels;

impl<'py> Pixels<'py> {
    pub fn new(name: &str, argument: &Bound<'py, PyAny>) -> PyResult<Self> {
        let expected = "an array (H, W) of uint8, uint16 or uint32";
        if argument.cast::<PyArray2<u8>>().is_ok() {
            return Ok(Self::U8(array(name, expected, argument)?));
        }
        if argument.cast::<PyArray2<u16>>().is_ok() {
            return Ok(Self::U16(array(name, expected, argument)?));
        }
        Ok(Self::U32(array(name, expected, argument)?))
    }

    pub fn shape(&self) -> (usize, usize) {
        with_pixels!(self, pixels => pixels.dim())
    }
}
