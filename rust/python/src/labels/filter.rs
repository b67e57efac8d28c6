//! `nucleus_kernels::labels::filter` for Python.

use nucleus_kernels::labels::filter as kernel;
use numpy::PyReadonlyArray2;
use pyo3::prelude::*;

use super::{Labels, in_raster_order, new_labels};

#[pyfunction]
#[pyo3(signature = (labels, *, min_area, max_area))]
pub fn filter_by_area<'py>(
    py: Python<'py>,
    labels: PyReadonlyArray2<'py, u32>,
    min_area: u64,
    max_area: u64,
) -> PyResult<Labels<'py>> {
    let (kept, ()) = new_labels(py, &labels, None, |labels, kept| {
        in_raster_order(labels, kept, |labels, kept| {
            kernel::filter_by_area(labels, kept, min_area..=max_area);
        });
        Ok(())
    })?;
    Ok(kept)
}

#[pyfunction]
pub fn clear_border<'py>(
    py: Python<'py>,
    labels: PyReadonlyArray2<'py, u32>,
) -> PyResult<Labels<'py>> {
    let (kept, ()) = new_labels(py, &labels, None, |labels, kept| {
        let columns = labels.ncols();
        in_raster_order(labels, kept, |labels, kept| {
            kernel::clear_border(labels, columns, kept);
        });
        Ok(())
    })?;
    Ok(kept)
}
