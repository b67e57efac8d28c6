//! `nucleus_kernels::merge` for Python: lists of masks, and the label images into which they are merged.

use nucleus_kernels::Error;
use nucleus_kernels::merge::Merge;
use numpy::PyArray2;
use numpy::ndarray::ArrayViewMut2;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::arrays::written;
use crate::border::MaskError;

/// The label image; (earlier, later, pixels) of each overlap; empty masks; hidden masks.
pub type Merged<'py> = (
    Bound<'py, PyArray2<u32>>,
    Vec<(usize, usize, u64)>,
    Vec<usize>,
    Vec<usize>,
);

/// Read every mask of a list; an error names the mask by its place.
pub fn read_all<Mask>(
    masks: &Bound<'_, PyAny>,
    read: impl Fn(usize, &Bound<'_, PyAny>) -> PyResult<Mask>,
) -> PyResult<Vec<Mask>> {
    // A string or bytes would be split into characters or numbers below.
    if masks.is_instance_of::<PyString>() || masks.is_instance_of::<PyBytes>() {
        let kind = masks.get_type().name()?;
        return Err(MaskError::new_err(format!(
            "expected a list of masks, got a single {kind}"
        )));
    }
    masks
        .try_iter()?
        .enumerate()
        .map(|(place, mask)| read(place, &mask?))
        .collect()
}

/// The error for a mask of the wrong type.
pub fn wrong_type(place: usize, expected: &str, got: &Bound<'_, PyAny>) -> PyErr {
    match got.get_type().name() {
        Ok(kind) => MaskError::new_err(format!("mask {place}: expected {expected}, got {kind}")),
        Err(error) => error,
    }
}

/// Let `work` merge masks on an all-background label image.
pub fn merge<'py>(
    py: Python<'py>,
    shape: (usize, usize),
    threads: Option<usize>,
    work: impl FnOnce(ArrayViewMut2<'_, u32>) -> Result<Merge, Error> + Send,
) -> PyResult<Merged<'py>> {
    let (labels, merge) = written(py, shape, threads, work)?;
    let overlaps = merge
        .overlaps
        .iter()
        .map(|overlap| (overlap.earlier, overlap.later, overlap.pixels))
        .collect();
    Ok((labels, overlaps, merge.empty, merge.hidden))
}
