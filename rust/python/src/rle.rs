//! Run-length encoding: `nucleus_kernels::rle` for Python.

use nucleus_kernels::rle::{self, CocoCounts, EncodedMask};
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyBytes, PyString};

use crate::arrays::{Pixels, with_pixels, written};
use crate::border::{self, MaskError, mask_error};
use crate::masks::{self, Merged};

/// Areas; top, left, bottom and right of each mask's box.
type AreasAndBoxes<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray2<i64>>);

#[pyfunction]
#[pyo3(signature = (labels, *, threads=None))]
pub fn labels_to_kaggle(
    py: Python<'_>,
    labels: &Bound<'_, PyAny>,
    threads: Option<usize>,
) -> PyResult<Vec<(u32, String)>> {
    let labels = Pixels::new("labels", labels)?;
    let threads = threads_for(&labels, threads);
    with_pixels!(&labels, pixels => border::run(py, threads, pixels.len(), || rle::labels_to_kaggle(pixels)))
}

#[pyfunction]
#[pyo3(signature = (masks, shape, *, threads=None))]
pub fn kaggle_to_labels<'py>(
    py: Python<'py>,
    masks: &Bound<'py, PyAny>,
    shape: (usize, usize),
    threads: Option<usize>,
) -> PyResult<Merged<'py>> {
    let texts = masks::read_all(masks, |place, mask| {
        mask.extract::<PyBackedStr>().map_err(|_| {
            let expected = "a str of 'start length' pairs ('' for an empty mask)";
            masks::wrong_type(place, expected, mask)
        })
    })?;
    let characters = texts.iter().map(|text| text.len()).sum();
    let little = rle::is_little(shape.0.saturating_mul(shape.1), characters);
    let threads = border::threads_for(little, threads);
    masks::merge(py, shape, threads, |labels| {
        rle::kaggle_to_labels(&texts, labels)
    })
}

#[pyfunction]
#[pyo3(signature = (labels, *, compressed, threads=None))]
pub fn labels_to_coco<'py>(
    py: Python<'py>,
    labels: &Bound<'py, PyAny>,
    compressed: bool,
    threads: Option<usize>,
) -> PyResult<Vec<(u32, Bound<'py, PyAny>)>> {
    let labels = Pixels::new("labels", labels)?;
    let threads = threads_for(&labels, threads);
    if compressed {
        let instances = with_pixels!(&labels, pixels => {
            border::run(py, threads, pixels.len(), || rle::labels_to_coco_strings(pixels))
        })?;
        in_python(py, instances.map_err(mask_error)?)
    } else {
        let instances = with_pixels!(&labels, pixels => {
            border::run(py, threads, pixels.len(), || rle::labels_to_coco(pixels))
        })?;
        in_python(py, instances.map_err(mask_error)?)
    }
}

/// The threads that the runs of a label image are worth.
fn threads_for(labels: &Pixels<'_>, threads: Option<usize>) -> Option<usize> {
    let pixels = with_pixels!(labels, pixels => pixels.len());
    border::threads_for(rle::is_little(pixels, 0), threads)
}

fn in_python<'py>(
    py: Python<'py>,
    instances: Vec<(u32, impl IntoPyObject<'py>)>,
) -> PyResult<Vec<(u32, Bound<'py, PyAny>)>> {
    instances
        .into_iter()
        .map(|(label, counts)| Ok((label, counts.into_bound_py_any(py)?)))
        .collect()
}

#[pyfunction]
#[pyo3(signature = (masks, shape, *, threads=None))]
pub fn coco_to_labels<'py>(
    py: Python<'py>,
    masks: &Bound<'py, PyAny>,
    shape: (usize, usize),
    threads: Option<usize>,
) -> PyResult<Merged<'py>> {
    // Before the image is allocated, which may fail for its size alone.
    let pixels = rle::coco_pixels(shape).map_err(mask_error)? as usize;
    let counts = masks::read_all(masks, coco_counts)?;
    let little = rle::is_little(pixels, counts.iter().map(CocoCounts::size).sum());
    let threads = border::threads_for(little, threads);
    masks::merge(py, shape, threads, |labels| {
        rle::coco_to_labels(&counts, labels)
    })
}

#[pyfunction]
#[pyo3(signature = (masks, shape, *, threads=None))]
pub fn measure_rles<'py>(
    py: Python<'py>,
    masks: &Bound<'py, PyAny>,
    shape: (usize, usize),
    threads: Option<usize>,
) -> PyResult<AreasAndBoxes<'py>> {
    let masks = masks::read_all(masks, encoded_mask)?;
    let little = rle::is_little(0, masks.iter().map(EncodedMask::size).sum());
    let threads = border::threads_for(little, threads);
    let extents =
        border::run(py, threads, 0, || rle::extents(&masks, shape))?.map_err(mask_error)?;
    let boxes: Vec<[i64; 4]> = extents
        .iter()
        .map(|extent| extent.bounding_box.map(|side| side as i64))
        .collect();
    let areas: Vec<i64> = extents.iter().map(|extent| extent.area as i64).collect();
    Ok((areas.into_pyarray(py), Array2::from(boxes).into_pyarray(py)))
}

#[pyfunction]
#[pyo3(signature = (a, b, shape, *, threads=None))]
pub fn rle_iou<'py>(
    py: Python<'py>,
    a: &Bound<'py, PyAny>,
    b: &Bound<'py, PyAny>,
    shape: (usize, usize),
    threads: Option<usize>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let a = masks::read_all(a, encoded_mask)?;
    let b = masks::read_all(b, encoded_mask)?;
    let (iou, outcome) = written(py, (a.len(), b.len()), threads, |iou| {
        let a = rle::run_masks(&a, shape).map_err(|error| format!("a: {error}"))?;
        let b = rle::run_masks(&b, shape).map_err(|error| format!("b: {error}"))?;
        rle::rle_iou(&a, &b, iou);
        Ok(())
    })?;
    outcome.map_err(|error: String| mask_error(error))?;
    Ok(iou)
}

/// A mask in either form: what is a string is Kaggle's.
fn encoded_mask(place: usize, mask: &Bound<'_, PyAny>) -> PyResult<EncodedMask<PyBackedStr>> {
    match mask.cast::<PyString>() {
        Ok(text) => Ok(EncodedMask::Kaggle(text.extract()?)),
        Err(_) => coco_counts(place, mask).map(EncodedMask::Coco),
    }
}

fn coco_counts(place: usize, counts: &Bound<'_, PyAny>) -> PyResult<CocoCounts> {
    if let Ok(text) = counts.cast::<PyString>() {
        return Ok(CocoCounts::Compressed(text.to_cow()?.as_bytes().to_vec()));
    }
    if let Ok(text) = counts.cast::<PyBytes>() {
        return Ok(CocoCounts::Compressed(text.as_bytes().to_vec()));
    }
    let values = counts
        .try_iter()
        .map_err(|_| masks::wrong_type(place, "counts as str, bytes or a list of int", counts))?;
    values
        .enumerate()
        .map(|(count, value)| {
            let value = value?;
            value.extract::<i64>().map_err(|_| {
                let shown: String = value.to_string().chars().take(40).collect();
                MaskError::new_err(format!(
                    "mask {place}, count {count}: expected an int of 0 to 4294967295, got {shown}"
                ))
            })
        })
        .collect::<PyResult<_>>()
        .map(CocoCounts::Plain)
}
