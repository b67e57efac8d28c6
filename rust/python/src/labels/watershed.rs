//! `nucleus_kernels::labels::watershed` for Python.

use nucleus_kernels::labels::components::Connectivity;
use nucleus_kernels::labels::watershed::{self as kernel, Level};
use numpy::{Element, Ix2, PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;

use super::components::neighbours;
use crate::arrays::{array, written};

/// The arguments of a watershed besides the image.
struct Flood<'py> {
    markers: PyReadonlyArray2<'py, u32>,
    mask: Option<PyReadonlyArray2<'py, bool>>,
    connectivity: Connectivity,
}

#[pyfunction]
#[pyo3(signature = (image, markers, *, mask=None, connectivity))]
pub fn watershed<'py>(
    image: &Bound<'py, PyAny>,
    markers: &Bound<'py, PyAny>,
    mask: Option<&Bound<'py, PyAny>>,
    connectivity: i64,
) -> PyResult<Bound<'py, PyArray2<u32>>> {
    let flood = Flood {
        connectivity: neighbours(connectivity)?,
        markers: array("markers", "an array (H, W) of uint32", markers)?,
        mask: mask
            .map(|mask| array("mask", "an array (H, W) of bool", mask))
            .transpose()?,
    };
    if image.cast::<PyArray2<u8>>().is_ok() {
        flood.over::<u8>(image)
    } else if image.cast::<PyArray2<u16>>().is_ok() {
        flood.over::<u16>(image)
    } else if image.cast::<PyArray2<f32>>().is_ok() {
        flood.over::<f32>(image)
    } else {
        flood.over::<f64>(image)
    }
}

impl Flood<'_> {
    fn over<'py, L: Level + Element + Sync>(
        &self,
        image: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray2<u32>>> {
        let expected = "an array (H, W) of uint8, uint16, float32 or float64";
        let image: PyReadonlyArray2<'_, L> = array::<L, Ix2>("image", expected, image)?;
        let (levels, markers) = (image.as_array(), self.markers.as_array());
        let mask = self.mask.as_ref().map(|mask| mask.as_array());
        let connectivity = self.connectivity;
        let (labels, ()) = written(image.py(), levels.dim(), None, |labels| {
            kernel::watershed(levels, markers, mask, connectivity, labels)
        })?;
        Ok(labels)
    }
}
