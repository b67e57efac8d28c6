//! `nucleus_kernels::labels` for Python, file by file, and what these files share.

use nucleus_kernels::Error;
use numpy::ndarray::{ArrayView2, ArrayViewMut2};
use numpy::{PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;

use crate::arrays::written;
use crate::border;

pub mod components;
pub mod distance;
pub mod expand;
pub mod fill;
pub mod filter;
pub mod overlap;
pub mod relabel;
pub mod resample;
pub mod runs;
pub mod smooth;
pub mod watershed;

type Labels<'py> = Bound<'py, PyArray2<u32>>;

/// Let `work` write a new label image of the same shape, and return that image and what `work` returns.
fn new_labels<'py, T: Send>(
    py: Python<'py>,
    labels: &PyReadonlyArray2<'py, u32>,
    threads: Option<usize>,
    work: impl FnOnce(ArrayView2<'_, u32>, ArrayViewMut2<'_, u32>) -> Result<T, Error> + Send,
) -> PyResult<(Labels<'py>, T)> {
    let labels = border::label_image(labels)?;
    written(py, labels.dim(), threads, |made| work(labels, made))
}

/// Call a kernel that takes the pixels of two images in raster order.
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
