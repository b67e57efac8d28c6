//! Arrays from Python, with a readable error where an array has another shape or dtype than expected.

use nucleus_kernels::Error;
use numpy::ndarray::{Array2, ArrayViewMut, Dimension, IntoDimension};
use numpy::{
    Element, IntoPyArray, Ix2, PyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray,
    PyReadonlyArray2, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;

use crate::border::{self, MaskError};

/// Allocate an array by a function of NumPy, `zeros` or `empty`.
///
/// NumPy allocates the array, so a shape that is too large raises a MemoryError and does not abort the process.
pub fn allocated<'py, T: Element, D: Dimension>(
    py: Python<'py>,
    function: &str,
    shape: impl IntoDimension<Dim = D>,
) -> PyResult<Bound<'py, PyArray<T, D>>> {
    let shape = shape.into_dimension();
    // For larger arrays, NumPy would raise a ValueError.
    let bytes = shape
        .slice()
        .iter()
        .try_fold(size_of::<T>(), |bytes, &side| {
            bytes.checked_mul(side.max(1))
        });
    if bytes.is_none_or(|bytes| isize::try_from(bytes).is_err()) {
        let shape = shape.into_pattern();
        let message = format!("an array of shape {shape:?} is larger than any memory");
        return Err(PyMemoryError::new_err(message));
    }
    let array = py
        .import("numpy")?
        .call_method1(function, (shape.slice(), numpy::dtype::<T>(py)))?;
    Ok(array.cast_into()?)
}

/// Let `work` write the elements of a new array without the GIL, and return the array and what `work` returns.
///
/// `pixels` tells how much work it is; see [`border::run`].
pub fn filled<'py, T: Element, D: Dimension, R: Send>(
    array: Bound<'py, PyArray<T, D>>,
    threads: Option<usize>,
    pixels: usize,
    work: impl FnOnce(ArrayViewMut<'_, T, D>) -> Result<R, Error> + Send,
) -> PyResult<(Bound<'py, PyArray<T, D>>, R)> {
    let mut elements = array.readwrite();
    let view = elements.as_array_mut();
    let returned = border::run(array.py(), threads, pixels, || work(view))?;
    drop(elements);
    Ok((array, returned))
}

/// Let `work` write a new array of zeros, as [`filled`] does.
pub fn written<'py, T: Element, D: Dimension, R: Send>(
    py: Python<'py>,
    shape: impl IntoDimension<Dim = D>,
    threads: Option<usize>,
    work: impl FnOnce(ArrayViewMut<'_, T, D>) -> Result<R, Error> + Send,
) -> PyResult<(Bound<'py, PyArray<T, D>>, R)> {
    let array = allocated(py, "zeros", shape)?;
    let elements = array.len();
    filled(array, threads, elements, work)
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

/// The rows of an array with `N` columns, which `expected` describes.
pub fn rows<T: Element + Copy, const N: usize>(
    name: &str,
    expected: &str,
    argument: &Bound<'_, PyAny>,
) -> PyResult<Vec<[T; N]>> {
    let table = array::<T, Ix2>(name, expected, argument)?;
    if table.shape()[1] != N {
        return Err(MaskError::new_err(format!(
            "{name}: expected {expected}, got shape {:?}",
            table.shape()
        )));
    }
    let rows = table.as_array();
    let rows = rows.rows().into_iter();
    Ok(rows
        .map(|row| std::array::from_fn(|column| row[column]))
        .collect())
}

/// An array of one value for each row of a table.
pub fn column<'py, R, T: Element>(
    py: Python<'py>,
    table: &[R],
    value: impl Fn(&R) -> T,
) -> Bound<'py, PyArray1<T>> {
    table.iter().map(value).collect::<Vec<T>>().into_pyarray(py)
}

/// An array of `N` values for each row of a table.
pub fn columns<'py, R, T: Element, const N: usize>(
    py: Python<'py>,
    table: &[R],
    values: impl Fn(&R) -> [T; N],
) -> Bound<'py, PyArray2<T>> {
    Array2::from(table.iter().map(values).collect::<Vec<[T; N]>>()).into_pyarray(py)
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
