//! `nucleus_kernels::shape` for Python, file by file, and what these files share.

use numpy::ndarray::Array2;
use numpy::{Element, IntoPyArray, PyArray2};
use pyo3::prelude::*;

pub mod background;
pub mod contour;
pub mod intensity;
pub mod measure;
pub mod moments;
pub mod simplify;

fn columns<'py, R, T: Element, const N: usize>(
    py: Python<'py>,
    table: &[R],
    values: impl Fn(&R) -> [T; N],
) -> Bound<'py, PyArray2<T>> {
    Array2::from(table.iter().map(values).collect::<Vec<[T; N]>>()).into_pyarray(py)
}
