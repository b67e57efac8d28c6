//! `nucleus_kernels::rle` for Python.

use nucleus_kernels::Error;
use nucleus_kernels::rle::{self, CocoCounts, EncodedMask};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray2, PyUntypedArray};
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::arrays::{Pixels, array, columns, with_pixels, written};
use crate::border::{self, MaskError, raised};
use crate::merge::{self, Merged};

#[pyfunction]
#[pyo3(signature = (labels, *, threads=None))]
pub fn labels_to_kaggle(
    py: Python<'_>,
    labels: &Bound<'_, PyAny>,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Vec<(u32, String)>> {
    let labels = Pixels::new("labels", labels)?;
    with_pixels!(&labels, pixels => {
        let threads = threads_for(threads, pixels.len(), 0);
        border::run(py, threads, pixels.len(), || Ok(rle::labels_to_kaggle(pixels)))
    })
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
        if mask.is_instance_of::<PyString>() {
            text(place, mask)
        } else {
            Err(merge::wrong_type(place, expected, mask))
        }
    })?;
    let characters = texts.iter().map(|text| text.len()).sum();
    let threads = threads_for(threads, shape.0.saturating_mul(shape.1), characters);
    merge::merge(py, shape, threads, |labels| {
        rle::kaggle_to_labels(&texts, labels)
    })
}

#[pyfunction]
#[pyo3(signature = (labels, *, compressed, threads=None))]
pub fn labels_to_coco(
    py: Python<'_>,
    labels: &Bound<'_, PyAny>,
    compressed: bool,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Vec<(u32, Counts)>> {
    let labels = Pixels::new("labels", labels)?;
    let encode = |counts| Counts::new(counts, compressed);
    with_pixels!(&labels, pixels => {
        let threads = threads_for(threads, pixels.len(), 0);
        border::run(py, threads, pixels.len(), || rle::labels_to_coco(pixels, encode))
    })
}

/// The counts of a mask, in any memory layout; 0 is background.
#[pyfunction]
#[pyo3(signature = (mask, *, compressed, threads=None))]
pub fn mask_to_coco(
    py: Python<'_>,
    mask: &Bound<'_, PyAny>,
    compressed: bool,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Counts> {
    let mask: PyReadonlyArray2<'_, u8> = array("mask", "an array (H, W) of uint8", mask)?;
    let pixels = mask.as_array();
    let threads = threads_for(threads, pixels.len(), 0);
    let counts = border::run(py, threads, pixels.len(), || rle::mask_to_coco(pixels))?;
    Ok(Counts::new(counts, compressed))
}

/// Decode a mask to its transpose.
#[pyfunction]
pub fn coco_to_mask<'py>(
    py: Python<'py>,
    counts: &Bound<'py, PyAny>,
    shape: (usize, usize),
) -> PyResult<Bound<'py, PyArray2<u8>>> {
    rle::coco_pixels(shape).map_err(raised)?;
    let counts = coco_counts(0, counts)?;
    let (columns, ()) = written(py, (shape.1, shape.0), None, |mut columns| {
        let columns = columns.as_slice_mut().expect("it is new");
        rle::coco_to_mask(&counts, columns)
    })?;
    Ok(columns)
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
    let pixels = rle::coco_pixels(shape).map_err(raised)? as usize;
    let counts = merge::read_all(masks, coco_counts)?;
    let size = counts.iter().map(CocoCounts::size).sum();
    let threads = threads_for(threads, pixels, size);
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
    let areas = measured(masks, coco, threads, |masks| rle::areas(masks, shape))?;
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
    let extents = measured(masks, coco, threads, |masks| rle::extents(masks, shape))?;
    Ok(columns(py, &extents, |extent| {
        extent.bounding_box.map(|side| side as i64)
    }))
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
    let run_masks = |name: &str, masks: &[Encoded]| {
        rle::run_masks(masks, shape).map_err(|error| Error::Data(format!("{name}: {error}")))
    };
    let (iou, ()) = written(py, (a.len(), b.len()), threads, |iou| {
        rle::rle_iou(&run_masks("a", &a)?, &run_masks("b", &b)?, iou);
        Ok(())
    })?;
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
        // In either form, a string is in the form of Kaggle.
        if !coco && mask.is_instance_of::<PyString>() {
            text(place, mask).map(EncodedMask::Kaggle)
        } else {
            coco_counts(place, mask).map(EncodedMask::Coco)
        }
    })
}

/// Read masks and let `measure` measure them.
fn measured<T: Send>(
    masks: &Bound<'_, PyAny>,
    coco: bool,
    threads: Option<usize>,
    measure: impl FnOnce(&[Encoded]) -> Result<T, Error> + Send,
) -> PyResult<T> {
    let py = masks.py();
    let masks = encoded_masks(masks, coco)?;
    let size = masks.iter().map(EncodedMask::size).sum();
    let threads = threads_for(threads, 0, size);
    border::run(py, threads, size, || measure(&masks))
}

/// The threads for a call: `None` if there is so little work that the caller's own thread does it all.
fn threads_for(threads: Option<usize>, pixels: usize, characters: usize) -> Option<usize> {
    threads.filter(|_| !rle::is_little(pixels, characters))
}

/// Counts for Python: a string or a list.
#[derive(IntoPyObject)]
pub enum Counts {
    Compressed(String),
    Plain(Vec<u32>),
}

impl Counts {
    fn new(counts: Vec<u32>, compressed: bool) -> Self {
        if compressed {
            Self::Compressed(rle::coco_string(&counts))
        } else {
            Self::Plain(counts)
        }
    }
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
