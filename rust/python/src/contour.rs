//! Outlines at the border.

use nucleus_kernels::contour::{self as kernel, Outline, Polygon};
use nucleus_kernels::wkb;
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, Ix2, PyArray2};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

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
    let outlines = border::run(py, None, view.len(), || kernel::contours(view))?
        .map_err(border::mask_error)?;
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

#[pyfunction]
pub fn contours_wkb<'py>(
    py: Python<'py>,
    labels: &Bound<'py, PyAny>,
    corner: (i32, i32),
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let labels = array::<u32, Ix2>("labels", "an array (H, W) of uint32", labels)?;
    let view = labels.as_array();
    let (top, left) = (i64::from(corner.0), i64::from(corner.1));
    let encoded = border::run(py, None, view.len(), || {
        kernel::contours(view).map(|outlines| {
            let encode = |outline: &Outline| wkb::encode(&outline.polygons, [left, top]);
            outlines.iter().map(encode).collect::<Vec<_>>()
        })
    })?
    .map_err(border::mask_error)?;
    Ok(encoded
        .iter()
        .map(|bytes| PyBytes::new(py, bytes))
        .collect())
}

#[pyfunction]
pub fn wkb_coordinates(wkb: &[u8]) -> PyResult<String> {
    wkb::coordinates(wkb).map_err(border::mask_error)
}

fn rings(py: Python<'_>, polygon: Polygon) -> Rings<'_> {
    std::iter::once(polygon.exterior)
        .chain(polygon.holes)
        .map(|ring| Array2::from(ring).into_pyarray(py))
        .collect()
}
