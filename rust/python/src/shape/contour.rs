//! `nucleus_kernels::shape::contour` for Python.

use nucleus_kernels::shape::contour::{self as kernel, Polygon};
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, Ix2, PyArray2};
use pyo3::prelude::*;

use crate::arrays::array;
use crate::border;

type Rings<'py> = Vec<Bound<'py, PyArray2<i32>>>;

#[pyfunction]
pub fn contours<'py>(
    py: Python<'py>,
    labels: &Bound<'py, PyAny>,
) -> PyResult<Vec<Vec<Rings<'py>>>> {
    let labels = array::<u32, Ix2>("labels", "an array (H, W) of uint32", labels)?;
    let view = labels.as_array();
    let outlines = border::run(py, None, view.len(), || kernel::contours(view))?;
    Ok(outlines
        .into_iter()
        .map(|outline| {
            outline
                .polygons
                .into_iter()
                .map(|polygon| rings(py, polygon))
                .collect()
        })
        .collect())
}

fn rings(py: Python<'_>, polygon: Polygon) -> Rings<'_> {
    std::iter::once(polygon.exterior)
        .chain(polygon.holes)
        .map(|ring| Array2::from(ring).into_pyarray(py))
        .collect()
}
