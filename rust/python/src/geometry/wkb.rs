//! `nucleus_kernels::geometry::wkb` for Python.

use nucleus_kernels::geometry::wkb as kernel;
use nucleus_kernels::shape::contour::{Outline, contours};
use numpy::Ix2;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::for_each_outline;
use crate::arrays::array;
use crate::border;

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
        contours(view).map(|outlines| {
            let encode = |outline: &Outline| kernel::encode(&outline.polygons, [left, top]);
            outlines.iter().map(encode).collect::<Vec<_>>()
        })
    })?;
    Ok(encoded
        .into_iter()
        .map(|bytes| PyBytes::new(py, &bytes))
        .collect())
}

#[pyfunction]
pub fn check_outlines(py: Python<'_>, outlines: Vec<Bound<'_, PyBytes>>) -> PyResult<()> {
    for_each_outline(py, &outlines, |_, outline| {
        kernel::geometry(outline).map(drop)
    })?;
    Ok(())
}
