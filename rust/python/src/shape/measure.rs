//! `nucleus_kernels::shape::measure` for Python.

use nucleus_kernels::shape::measure::{self as kernel, Measurement};
use numpy::ndarray::ArrayView2;
use numpy::{Element, Ix2, PyArray1, PyArray2};
use pyo3::prelude::*;

use crate::arrays::{array, column, columns};
use crate::border;

type Columns<'py> = (
    Bound<'py, PyArray1<u32>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray2<i64>>,
    Bound<'py, PyArray2<f64>>,
    Option<Bound<'py, PyArray1<f64>>>,
);

#[pyfunction]
#[pyo3(signature = (labels, *, intensity=None, threads=None))]
pub fn measure<'py>(
    py: Python<'py>,
    labels: &Bound<'py, PyAny>,
    intensity: Option<&Bound<'py, PyAny>>,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Columns<'py>> {
    let labels = array::<u32, Ix2>("labels", "an array (H, W) of uint32", labels)?;
    let labels = labels.as_array();
    let table = match intensity {
        Some(image) if image.cast::<PyArray2<u8>>().is_ok() => {
            measured::<u8>(py, labels, intensity, threads)
        }
        Some(image) if image.cast::<PyArray2<u16>>().is_ok() => {
            measured::<u16>(py, labels, intensity, threads)
        }
        _ => measured::<f32>(py, labels, intensity, threads),
    }?;
    Ok((
        column(py, &table, |row| row.label),
        column(py, &table, |row| row.area as i64),
        columns(py, &table, |row| row.bounding_box.map(|side| side as i64)),
        columns(py, &table, |row| row.centroid),
        intensity
            .is_some()
            .then(|| column(py, &table, |row| row.mean_intensity.unwrap_or(f64::NAN))),
    ))
}

fn measured<T: Element + Copy + Into<f64>>(
    py: Python<'_>,
    labels: ArrayView2<'_, u32>,
    intensity: Option<&Bound<'_, PyAny>>,
    threads: Option<usize>,
) -> PyResult<Vec<Measurement>> {
    let expected = "an array (H, W) of float32, uint8 or uint16";
    let intensity = intensity
        .map(|image| array::<T, Ix2>("intensity", expected, image))
        .transpose()?;
    let values = intensity.as_ref().map(|image| image.as_array());
    border::run(py, threads, labels.len(), || {
        kernel::measure(labels, values)
    })
}
