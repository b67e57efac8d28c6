//! Label images made from label images, pixel for pixel: renumbered, without some nuclei, with larger ones.

use nucleus_kernels::expand::{self, ExpandError};
use nucleus_kernels::smooth::{self, SmoothError};
use nucleus_kernels::{fill, filter, relabel};
use numpy::ndarray::{ArrayView2, ArrayViewMut2};
use numpy::{PyArray1, PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;

use crate::arrays::written;
use crate::border::{self, MaskError, SettingsError};

type Labels<'py> = Bound<'py, PyArray2<u32>>;

#[pyfunction]
pub fn relabel_sequential<'py>(
    py: Python<'py>,
    labels: PyReadonlyArray2<'py, u32>,
) -> PyResult<(Labels<'py>, Bound<'py, PyArray1<u32>>)> {
    let (renumbered, old_labels) = made_from(py, &labels, None, |labels, renumbered| {
        in_raster_order(labels, renumbered, relabel::relabel_sequential)
    })?;
    Ok((renumbered, PyArray1::from_vec(py, old_labels)))
}

#[pyfunction]
#[pyo3(signature = (labels, *, min_area, max_area))]
pub fn filter_by_area<'py>(
    py: Python<'py>,
    labels: PyReadonlyArray2<'py, u32>,
    min_area: u64,
    max_area: u64,
) -> PyResult<Labels<'py>> {
    let (kept, ()) = made_from(py, &labels, None, |labels, kept| {
        in_raster_order(labels, kept, |labels, kept| {
            filter::filter_by_area(labels, kept, min_area..=max_area);
        })
    })?;
    Ok(kept)
}

#[pyfunction]
pub fn clear_border<'py>(
    py: Python<'py>,
    labels: PyReadonlyArray2<'py, u32>,
) -> PyResult<Labels<'py>> {
    let (kept, ()) = made_from(py, &labels, None, |labels, kept| {
        let columns = labels.ncols();
        in_raster_order(labels, kept, |labels, kept| {
            filter::clear_border(labels, columns, kept);
        })
    })?;
    Ok(kept)
}

#[pyfunction]
pub fn fill_holes<'py>(
    py: Python<'py>,
    labels: PyReadonlyArray2<'py, u32>,
) -> PyResult<Labels<'py>> {
    let (filled, ()) = made_from(py, &labels, None, fill::fill_holes)?;
    Ok(filled)
}

#[pyfunction]
#[pyo3(signature = (labels, distance, *, threads=None))]
pub fn expand_labels<'py>(
    py: Python<'py>,
    labels: PyReadonlyArray2<'py, u32>,
    distance: f64,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Labels<'py>> {
    let (expanded, outcome) = made_from(py, &labels, threads, |labels, expanded| {
        expand::expand_labels(labels, expanded, distance)
    })?;
    outcome.map_err(|error| match error {
        ExpandError::Distance(_) => SettingsError::new_err(error.to_string()),
        ExpandError::Size { .. } => MaskError::new_err(error.to_string()),
    })?;
    Ok(expanded)
}

#[pyfunction]
#[pyo3(signature = (labels, radius, *, threads=None))]
pub fn smooth_labels<'py>(
    py: Python<'py>,
    labels: PyReadonlyArray2<'py, u32>,
    radius: usize,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Labels<'py>> {
    let (smoothed, outcome) = made_from(py, &labels, threads, |labels, smoothed| {
        smooth::smooth_labels(labels, smoothed, radius)
    })?;
    outcome.map_err(|error| match error {
        SmoothError::Radius(_) => SettingsError::new_err(error.to_string()),
        SmoothError::Shape { .. } => MaskError::new_err(error.to_string()),
    })?;
    Ok(smoothed)
}

/// A new label image of the same shape, and what `work` returned when it wrote it.
fn made_from<'py, T: Send>(
    py: Python<'py>,
    labels: &PyReadonlyArray2<'py, u32>,
    threads: Option<usize>,
    work: impl FnOnce(ArrayView2<'_, u32>, ArrayViewMut2<'_, u32>) -> T + Send,
) -> PyResult<(Labels<'py>, T)> {
    let labels = border::label_image(labels)?;
    written(py, labels.dim(), threads, |made| work(labels, made))
}

/// Hand two C-contiguous images to a kernel that needs to know of no rows.
fn in_raster_order<T>(
    labels: ArrayView2<'_, u32>,
    mut made: ArrayViewMut2<'_, u32>,
    work: impl FnOnce(&[u32], &mut [u32]) -> T,
) -> T {
    let contiguous = "both are checked or made C-contiguous";
    work(
        labels.as_slice().expect(contiguous),
        made.as_slice_mut().expect(contiguous),
    )
}
