//! Outlines at the border.

use nucleus_kernels::contour::{self as kernel, Outline, Polygon};
use nucleus_kernels::geojson::{self, Detection};
use nucleus_kernels::interrupt;
use nucleus_kernels::wkb::{self, WkbError};
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, Ix1, Ix2, PyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use uuid::Uuid;

use crate::arrays::array;
use crate::border;

type Rings<'py> = Vec<Bound<'py, PyArray2<i32>>>;

#[pyfunction]
pub fn contours<'py>(
    py: Python<'py>,
    labels: &Bound<'py, PyAny>,
) -> PyResult<Vec<Vec<Rings<'py>>>> {
    let labels = array::<u32, Ix2>("labels", "an array (H, W) of uint32", labels)?;
    let view = labels.as_array();
    let outlines = border::run(py, None, view.len(), || kernel::contours(view))?
        .map_err(border::mask_error)?;
    Ok(outlines
        .into_iter()
        .map(|outline| {
            outline
                .polygons
                .into_iter()
                .map(|polygon| rings(py, polygon))
                .collect()
        })
        .collect())
}

#[pyfunction]
pub fn contours_wkb<'py>(
    py: Python<'py>,
    labels: &Bound<'py, PyAny>,
    corner: (i32, i32),
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let labels = array::<u32, Ix2>("labels", "an array (H, W) of uint32", labels)?;
    let view = labels.as_array();
    let (top, left) = (i64::from(corner.0), i64::from(corner.1));
    let encoded = border::run(py, None, view.len(), || {
        kernel::contours(view).map(|outlines| {
            let encode = |outline: &Outline| wkb::encode(&outline.polygons, [left, top]);
            outlines.iter().map(encode).collect::<Vec<_>>()
        })
    })?
    .map_err(border::mask_error)?;
    Ok(encoded
        .into_iter()
        .map(|bytes| PyBytes::new(py, &bytes))
        .collect())
}

#[pyfunction]
#[pyo3(signature = (outlines, *, area, intensity, probability, namespace))]
pub fn geojson_features<'py>(
    py: Python<'py>,
    outlines: Vec<Bound<'py, PyBytes>>,
    area: &Bound<'py, PyAny>,
    intensity: &Bound<'py, PyAny>,
    probability: &Bound<'py, PyAny>,
    namespace: [u8; 16],
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let area = array::<i64, Ix1>("area", "an array (N,) of int64", area)?;
    let intensity = array::<f64, Ix1>("intensity", "an array (N,) of float64", intensity)?;
    let probability = array::<f32, Ix1>("probability", "an array (N,) of float32", probability)?;
    let lengths = [area.len(), intensity.len(), probability.len()];
    if lengths != [outlines.len(); 3] {
        return Err(border::mask_error(format!(
            "expected an area, an intensity and a probability for each of {} outlines, got {lengths:?}",
            outlines.len()
        )));
    }
    let (area, intensity, probability) = (
        area.as_array(),
        intensity.as_array(),
        probability.as_array(),
    );
    let namespace = Uuid::from_bytes(namespace);
    let texts = for_each_outline(py, &outlines, |index, outline| {
        let detection = Detection {
            outline,
            area: area[index],
            intensity: intensity[index],
            probability: probability[index],
        };
        geojson::feature(&detection, namespace)
    })?;
    Ok(texts
        .into_iter()
        .map(|text| PyBytes::new(py, text.as_bytes()))
        .collect())
}

#[pyfunction]
pub fn check_outlines(py: Python<'_>, outlines: Vec<Bound<'_, PyBytes>>) -> PyResult<()> {
    for_each_outline(py, &outlines, |_, outline| wkb::geometry(outline).map(drop))?;
    Ok(())
}

/// What `work` makes of the number and the bytes of each outline; or an error that says which one is damaged.
fn for_each_outline<T: Send>(
    py: Python<'_>,
    outlines: &[Bound<'_, PyBytes>],
    work: impl Fn(usize, &[u8]) -> Result<T, WkbError> + Sync,
) -> PyResult<Vec<T>> {
    let bytes: Vec<&[u8]> = outlines.iter().map(|each| each.as_bytes()).collect();
    let work = |(number, outline): (usize, &&[u8])| {
        interrupt::check();
        work(number, outline).map_err(|error| format!("outline {number}: {error}"))
    };
    let size = bytes.iter().map(|each| each.len()).sum();
    border::run(py, None, size, || {
        bytes.iter().enumerate().map(work).collect::<Result<_, _>>()
    })?
    .map_err(border::mask_error)
}

fn rings(py: Python<'_>, polygon: Polygon) -> Rings<'_> {
    std::iter::once(polygon.exterior)
        .chain(polygon.holes)
        .map(|ring| Array2::from(ring).into_pyarray(py))
        .collect()
}
