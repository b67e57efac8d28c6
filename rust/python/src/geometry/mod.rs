//! `nucleus_kernels::geometry` for Python, file by file, and what these files share.

use nucleus_kernels::Error;
use nucleus_kernels::geometry::wkb::WkbError;
use nucleus_kernels::interrupt;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::border;

pub mod geojson;
pub mod neighbours;
pub mod wkb;

/// Call `work` with the number and the bytes of each outline. An error names the damaged outline.
fn for_each_outline<T: Send>(
    py: Python<'_>,
    outlines: &[Bound<'_, PyBytes>],
    work: impl Fn(usize, &[u8]) -> Result<T, WkbError> + Sync,
) -> PyResult<Vec<T>> {
    let bytes: Vec<&[u8]> = outlines.iter().map(|each| each.as_bytes()).collect();
    let work = |(number, outline): (usize, &&[u8])| {
        interrupt::check();
        work(number, outline).map_err(|error| Error::Data(format!("outline {number}: {error}")))
    };
    let size = bytes.iter().map(|each| each.len()).sum();
    border::run(py, None, size, || {
        bytes.iter().enumerate().map(work).collect()
    })
}
