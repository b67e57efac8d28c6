//! `nucleus_kernels::shape::intensity` for Python.

use nucleus_kernels::shape::intensity as kernel;
use numpy::{IntoPyArray, Ix2, PyArray1, PyArray2};
use pyo3::prelude::*;

use crate::arrays::array;
use crate::border;

type Statistics<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray2<f64>>);

#[pyfunction]
#[pyo3(signature = (labels, intensity, *, percents, threads=None))]
pub fn statistics<'py>(
    py: Python<'py>,
    labels: &Bound<'py, PyAny>,
    intensity: &Bound<'py, PyAny>,
    percents: Vec<f64>,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Statistics<'py>> {
    let labels = array::<u32, Ix2>("labels", "an array (H, W) of uint32", labels)?;
    let intensity = array::<f32, Ix2>("intensity", "an array (H, W) of float32", intensity)?;
    if !percents
        .iter()
        .all(|percent| (0.0..=100.0).contains(percent))
    {
        return Err(border::SettingsError::new_err(format!(
            "percents: expected numbers of 0 to 100, got {percents:?}"
        )));
    }
    let views = (labels.as_array(), intensity.as_array());
    let (present, table) = border::run(py, threads, views.0.len(), || {
        kernel::statistics(views.0, views.1, &percents)
    })?;
    Ok((present.into_pyarray(py), table.into_pyarray(py)))
}
