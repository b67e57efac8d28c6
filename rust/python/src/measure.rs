//! Measuring at the border.

use nucleus_kernels::measure::{self as kernel, Measurement};
use nucleus_kernels::shape;
use numpy::ndarray::Array2;
use numpy::{Element, IntoPyArray, Ix2, PyArray1, PyArray2};
use pyo3::prelude::*;

use crate::arrays::array;
use crate::border;

type Columns<'py> = (
    Bound<'py, PyArray1<u32>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray2<i64>>,
    Bound<'py, PyArray2<f64>>,
    Option<Bound<'py, PyArray1<f64>>>,
    Option<Bound<'py, PyArray1<f64>>>,
);

#[pyfunction]
#[pyo3(signature = (labels, *, intensity=None, probability=None, threads=None))]
pub fn measure<'py>(
    py: Python<'py>,
    labels: &Bound<'py, PyAny>,
    intensity: Option<&Bound<'py, PyAny>>,
    probability: Option<&Bound<'py, PyAny>>,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Columns<'py>> {
    let labels = array::<u32, Ix2>("labels", "an array (H, W) of uint32", labels)?;
    let intensity = intensity
        .map(|image| array::<f32, Ix2>("intensity", "an array (H, W) of float32", image))
        .transpose()?;
    let probability = probability
        .map(|image| array::<u8, Ix2>("probability", "an array (H, W) of uint8", image))
        .transpose()?;
    let views = (
        labels.as_array(),
        intensity.as_ref().map(|image| image.as_array()),
        probability.as_ref().map(|image| image.as_array()),
    );
    let table = border::run(py, threads, views.0.len(), || {
        kernel::measure(views.0, views.1, views.2)
    })?
    .map_err(border::mask_error)?;
    let means = |mean: fn(&Measurement) -> Option<f64>| {
        column(py, &table, |row| mean(row).unwrap_or(f64::NAN))
    };
    Ok((
        column(py, &table, |row| row.label),
        column(py, &table, |row| row.area as i64),
        columns(py, &table, |row| row.bounding_box.map(|side| side as i64)),
        columns(py, &table, |row| row.centroid),
        intensity.is_some().then(|| means(|row| row.mean_intensity)),
        probability
            .is_some()
            .then(|| means(|row| row.mean_probability)),
    ))
}

type ShapeColumns<'py> = (
    Bound<'py, PyArray1<u32>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray2<f64>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<f64>>,
    Option<Bound<'py, PyArray2<f32>>>,
);

#[pyfunction]
#[pyo3(signature = (labels, *, intensity=None, threads=None))]
pub fn shapes<'py>(
    py: Python<'py>,
    labels: &Bound<'py, PyAny>,
    intensity: Option<&Bound<'py, PyAny>>,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<ShapeColumns<'py>> {
    let labels = array::<u32, Ix2>("labels", "an array (H, W) of uint32", labels)?;
    let intensity = intensity
        .map(|image| array::<f32, Ix2>("intensity", "an array (H, W) of float32", image))
        .transpose()?;
    let views = (
        labels.as_array(),
        intensity.as_ref().map(|image| image.as_array()),
    );
    let table = border::run(py, threads, views.0.len(), || {
        shape::shapes(views.0, views.1)
    })?
    .map_err(border::mask_error)?;
    Ok((
        column(py, &table, |row| row.label),
        column(py, &table, |row| row.area as i64),
        columns(py, &table, |row| row.axis_lengths),
        column(py, &table, |row| row.eccentricity),
        column(py, &table, |row| row.orientation),
        column(py, &table, |row| row.perimeter),
        column(py, &table, |row| row.convex_area),
        intensity.is_some().then(|| {
            columns(py, &table, |row| {
                row.intensity_range.unwrap_or([f32::NAN; 2])
            })
        }),
    ))
}

fn column<'py, R, T: Element>(
    py: Python<'py>,
    table: &[R],
    value: impl Fn(&R) -> T,
) -> Bound<'py, PyArray1<T>> {
    table.iter().map(value).collect::<Vec<T>>().into_pyarray(py)
}

fn columns<'py, R, T: Element, const N: usize>(
    py: Python<'py>,
    table: &[R],
    values: impl Fn(&R) -> [T; N],
) -> Bound<'py, PyArray2<T>> {
    Array2::from(table.iter().map(values).collect::<Vec<[T; N]>>()).into_pyarray(py)
}
