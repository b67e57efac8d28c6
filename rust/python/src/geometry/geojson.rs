//! `nucleus_kernels::geometry::geojson` for Python.

use nucleus_kernels::geometry::geojson::{self as kernel, Detection, UNCLASSIFIED};
use numpy::{Ix1, Ix2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use uuid::Uuid;

use super::for_each_outline;
use crate::arrays::array;
use crate::border::MaskError;

#[pyfunction]
#[pyo3(signature = (outlines, *, area, intensity, probability, quality, namespace, cells=None, names=None, values=None, classifications=None, classes=None))]
#[allow(clippy::too_many_arguments)]
pub fn geojson_features<'py>(
    py: Python<'py>,
    outlines: Vec<Bound<'py, PyBytes>>,
    area: &Bound<'py, PyAny>,
    intensity: &Bound<'py, PyAny>,
    probability: &Bound<'py, PyAny>,
    quality: &Bound<'py, PyAny>,
    namespace: [u8; 16],
    cells: Option<Vec<PyBackedBytes>>,
    names: Option<Vec<String>>,
    values: Option<&Bound<'py, PyAny>>,
    classifications: Option<Vec<String>>,
    classes: Option<&Bound<'py, PyAny>>,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let area = array::<i64, Ix1>("area", "an array (N,) of int64", area)?;
    let intensity = array::<f64, Ix1>("intensity", "an array (N,) of float64", intensity)?;
    let probability = array::<f32, Ix1>("probability", "an array (N,) of float32", probability)?;
    let quality = array::<f32, Ix1>("quality", "an array (N,) of float32", quality)?;
    let lengths = [
        area.len(),
        intensity.len(),
        probability.len(),
        quality.len(),
    ];
    if lengths != [outlines.len(); 4] {
        return Err(MaskError::new_err(format!(
            "expected an area, an intensity, a probability and a quality for each of {} outlines, got {lengths:?}",
            outlines.len()
        )));
    }
    let (area, intensity) = (area.as_array(), intensity.as_array());
    let (probability, quality) = (probability.as_array(), quality.as_array());
    let names = names.unwrap_or_default();
    let values = values
        .map(|values| array::<f64, Ix2>("values", "an array (N, K) of float64", values))
        .transpose()?;
    let values = values.as_ref().map(|values| values.as_array());
    let shape = values.map_or((outlines.len(), 0), |values| values.dim());
    let expected = (outlines.len(), names.len());
    let contiguous = values.map_or(Some(&[][..]), |values| values.to_slice());
    let (Some(numbers), true) = (contiguous, shape == expected) else {
        return Err(MaskError::new_err(format!(
            "values: expected a C-contiguous array {expected:?}, got {shape:?}"
        )));
    };
    if let Some(cells) = &cells
        && cells.len() != outlines.len()
    {
        return Err(MaskError::new_err(format!(
            "cells: expected {} outlines, got {}",
            outlines.len(),
            cells.len()
        )));
    }
    let classifications = classifications.unwrap_or_default();
    let classes = classes
        .map(|classes| array::<i64, Ix1>("classes", "an array (N,) of int64", classes))
        .transpose()?;
    let classes = classes.as_ref().map(|classes| classes.as_array());
    if let Some(classes) = &classes {
        let known =
            |class: &i64| usize::try_from(*class).is_ok_and(|it| it < classifications.len());
        if classes.len() != outlines.len() || !classes.iter().all(known) {
            return Err(MaskError::new_err(format!(
                "classes: expected, for each of {} outlines, one of {} classifications",
                outlines.len(),
                classifications.len()
            )));
        }
    }
    let class_of = |index: usize| {
        let class = classes.and_then(|classes| usize::try_from(classes[index]).ok());
        class.map_or(UNCLASSIFIED, |class| classifications[class].as_str())
    };
    let namespace = Uuid::from_bytes(namespace);
    let texts = for_each_outline(py, &outlines, |index, outline| {
        let detection = Detection {
            outline,
            area: area[index],
            intensity: intensity[index],
            probability: probability[index],
            quality: quality[index],
            classification: class_of(index),
            cell: cells.as_ref().map(|cells| &*cells[index]),
            names: &names,
            values: &numbers[index * names.len()..(index + 1) * names.len()],
        };
        kernel::feature(&detection, namespace)
    })?;
    Ok(texts
        .into_iter()
        .map(|text| PyBytes::new(py, text.as_bytes()))
        .collect())
}
