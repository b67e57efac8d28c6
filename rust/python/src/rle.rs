//! `nucleus_kernels::rle` for Python.

use nucleus_kernels::rle::{self, CocoCounts, EncodedMask, MaskPixels};
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray2, PyUntypedArray};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::arrays::{Pixels, array, with_pixels, written};
use crate::border::{self, MaskError, mask_error};
use crate::merge::{self, Merged};

#[pyfunction]
#[pyo3(signature = (labels, *, threads=None))]
pub fn labels_to_kaggle(
    py: Python<'_>,
    labels: &Bound<'_, PyAny>,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
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
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Merged<'py>> {
    let texts = merge::read_all(masks, |place, mask| {
        let expected = "a str of 'start length' pairs ('' for an empty mask)";
        let string = mask.cast::<PyString>();
        text(
            place,
            string.map_err(|_| merge::wrong_type(place, expected, mask))?,
        )
    })?;
    let characters = texts.iter().map(|text| text.len()).sum();
    let little = rle::is_little(shape.0.saturating_mul(shape.1), characters);
    let threads = border::threads_for(little, threads);
    merge::merge(py, shape, threads, |labels| {
        rle::kaggle_to_labels(&texts, labels)
    })
}

#[pyfunction]
#[pyo3(signature = (labels, *, compressed, threads=None))]
pub fn labels_to_coco<'py>(
    py: Python<'py>,
    labels: &Bound<'py, PyAny>,
    compressed: bool,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
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

/// The counts of a mask, or of its transpose with `columns`; 0 is background.
#[pyfunction]
#[pyo3(signature = (mask, *, columns, compressed, threads=None))]
pub fn mask_to_coco<'py>(
    py: Python<'py>,
    mask: &Bound<'py, PyAny>,
    columns: bool,
    compressed: bool,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    let mask: PyReadonlyArray2<'py, u8> = array("mask", "an array (H, W) of uint8", mask)?;
    let pixels = mask.as_array();
    let threads = border::threads_for(rle::is_little(pixels.len(), 0), threads);
    let counts = border::run(py, threads, pixels.len(), || {
        rle::mask_to_coco(if columns {
            MaskPixels::Columns(pixels)
        } else {
            MaskPixels::Rows(pixels)
        })
    })?
    .map_err(mask_error)?;
    if compressed {
        rle::coco_string(&counts).into_bound_py_any(py)
    } else {
        counts.into_bound_py_any(py)
    }
}

/// Decode a mask to its transpose.
#[pyfunction]
pub fn coco_to_mask<'py>(
    py: Python<'py>,
    counts: &Bound<'py, PyAny>,
    shape: (usize, usize),
) -> PyResult<Bound<'py, PyArray2<u8>>> {
    rle::coco_pixels(shape).map_err(mask_error)?;
    let counts = coco_counts(0, counts)?;
    let (columns, decoded) = written(py, (shape.1, shape.0), None, |mut columns| {
        let columns = columns.as_slice_mut().expect("it is new");
        rle::coco_to_mask(&counts, columns)
    })?;
    decoded.map_err(mask_error)?;
    Ok(columns)
}

/// The threads for the runs of a label image.
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
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Merged<'py>> {
    // Checked before the image is allocated, which may fail for a large size.
    let pixels = rle::coco_pixels(shape).map_err(mask_error)? as usize;
    let counts = merge::read_all(masks, coco_counts)?;
    let little = rle::is_little(pixels, counts.iter().map(CocoCounts::size).sum());
    let threads = border::threads_for(little, threads);
    merge::merge(py, shape, threads, |labels| {
        rle::coco_to_labels(&counts, labels)
    })
}

#[pyfunction]
#[pyo3(signature = (masks, shape, *, coco, threads=None))]
pub fn rle_areas<'py>(
    py: Python<'py>,
    masks: &Bound<'py, PyAny>,
    shape: (usize, usize),
    coco: bool,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Bound<'py, PyArray1<u64>>> {
    let masks = encoded_masks(masks, coco)?;
    let threads = threads_for_masks(&masks, threads);
    let areas = border::run(py, threads, size(&masks), || rle::areas(&masks, shape))?
        .map_err(mask_error)?;
    Ok(areas.into_pyarray(py))
}

#[pyfunction]
#[pyo3(signature = (masks, shape, *, coco, threads=None))]
pub fn rle_boxes<'py>(
    py: Python<'py>,
    masks: &Bound<'py, PyAny>,
    shape: (usize, usize),
    coco: bool,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Bound<'py, PyArray2<i64>>> {
    let masks = encoded_masks(masks, coco)?;
    let threads = threads_for_masks(&masks, threads);
    let extents = border::run(py, threads, size(&masks), || rle::extents(&masks, shape))?
        .map_err(mask_error)?;
    let boxes: Vec<[i64; 4]> = extents
        .iter()
        .map(|extent| extent.bounding_box.map(|side| side as i64))
        .collect();
    Ok(Array2::from(boxes).into_pyarray(py))
}

#[pyfunction]
#[pyo3(signature = (a, b, shape, *, coco, threads=None))]
pub fn rle_iou<'py>(
    py: Python<'py>,
    a: &Bound<'py, PyAny>,
    b: &Bound<'py, PyAny>,
    shape: (usize, usize),
    coco: (bool, bool),
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let a = encoded_masks(a, coco.0).map_err(|error| of_list(py, "a", error))?;
    let b = encoded_masks(b, coco.1).map_err(|error| of_list(py, "b", error))?;
    let (iou, outcome) = written(py, (a.len(), b.len()), threads, |iou| {
        let a = rle::run_masks(&a, shape).map_err(|error| format!("a: {error}"))?;
        let b = rle::run_masks(&b, shape).map_err(|error| format!("b: {error}"))?;
        rle::rle_iou(&a, &b, iou);
        Ok(())
    })?;
    outcome.map_err(|error: String| mask_error(error))?;
    Ok(iou)
}

/// An error about a mask, with the name of its list.
fn of_list(py: Python<'_>, name: &str, error: PyErr) -> PyErr {
    if error.is_instance_of::<MaskError>(py) {
        MaskError::new_err(format!("{name}: {}", error.value(py)))
    } else {
        error
    }
}

/// Read masks, all in the form of COCO or each in either form.
fn encoded_masks(masks: &Bound<'_, PyAny>, coco: bool) -> PyResult<Vec<Encoded>> {
    merge::read_all(masks, |place, mask| {
        if coco {
            coco_counts(place, mask).map(EncodedMask::Coco)
        } else {
            encoded_mask(place, mask)
        }
    })
}

/// The threads for the measurement of masks.
fn threads_for_masks(masks: &[Encoded], threads: Option<usize>) -> Option<usize> {
    border::threads_for(rle::is_little(0, size(masks)), threads)
}

/// The number of characters or counts of all masks.
fn size(masks: &[Encoded]) -> usize {
    masks.iter().map(EncodedMask::size).sum()
}

/// A mask in the memory of Python.
type Encoded = EncodedMask<PyBackedStr, Text>;

/// Compressed counts in the memory of Python.
enum Text {
    Bytes(PyBackedBytes),
    Characters(PyBackedStr),
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Characters(text) => text.as_bytes(),
        }
    }
}

/// A mask in either form: a string is in the form of Kaggle.
fn encoded_mask(place: usize, mask: &Bound<'_, PyAny>) -> PyResult<Encoded> {
    match mask.cast::<PyString>() {
        Ok(text) => Ok(EncodedMask::Kaggle(self::text(place, text)?)),
        Err(_) => coco_counts(place, mask).map(EncodedMask::Coco),
    }
}

/// The characters of a string. A lone surrogate is refused.
fn text(place: usize, text: &Bound<'_, PyAny>) -> PyResult<PyBackedStr> {
    text.extract().map_err(|_| {
        MaskError::new_err(format!(
            "mask {place}: expected text, got a string that no encoding can hold"
        ))
    })
}

fn coco_counts(place: usize, counts: &Bound<'_, PyAny>) -> PyResult<CocoCounts<Text>> {
    if counts.is_instance_of::<PyBytes>() {
        return Ok(CocoCounts::Compressed(Text::Bytes(counts.extract()?)));
    }
    if counts.is_instance_of::<PyString>() {
        return Ok(CocoCounts::Compressed(Text::Characters(text(
            place, counts,
        )?)));
    }
    let wrong_type = || merge::wrong_type(place, "counts as str, bytes or a list of int", counts);
    // Other iterables, such as bytearrays, mappings and sets, hold no ordered counts.
    let is_list = counts.is_instance_of::<PyList>()
        || counts.is_instance_of::<PyTuple>()
        || counts.is_instance_of::<PyUntypedArray>();
    if !is_list {
        return Err(wrong_type());
    }
    let values = counts.try_iter().map_err(|_| wrong_type())?;
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
