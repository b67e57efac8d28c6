//! `nucleus_kernels::mask_png` for Python.

use nucleus_kernels::mask_png;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::border::{self, MaskError};
use crate::merge::{self, Merged};

#[pyfunction]
#[pyo3(signature = (files, shape=None, *, threads=None))]
pub fn merge_mask_pngs<'py>(
    py: Python<'py>,
    files: &Bound<'py, PyAny>,
    shape: Option<(usize, usize)>,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Merged<'py>> {
    let files = merge::read_all(files, |place, file| {
        file.extract::<PyBackedBytes>()
            .map_err(|_| merge::wrong_type(place, "the bytes of a PNG file", file))
    })?;
    let shape = match (shape, files.first()) {
        (Some(shape), _) => shape,
        (None, Some(first)) => mask_png::shape(first).map_err(border::raised)?,
        (None, None) => {
            return Err(MaskError::new_err(
                "files: without any mask the shape of the image must be given",
            ));
        }
    };
    merge::merge(py, shape, threads, |labels| {
        mask_png::merge_mask_pngs(&files, labels)
    })
}
