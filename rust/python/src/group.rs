//! Grouping at the border.

use nucleus_kernels::group as kernel;
use nucleus_kernels::group::{GroupError, GroupSettings, Grouped};
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, Ix3, PyArray1, PyArray2};
use pyo3::prelude::*;

use crate::arrays::array;
use crate::border::{self, MaskError, SettingsError};

type Lists<'py> = (
    Bound<'py, PyArray2<u32>>,
    Bound<'py, PyArray2<i64>>,
    Bound<'py, PyArray1<f32>>,
    Bound<'py, PyArray1<f32>>,
);

#[pyfunction]
#[pyo3(signature = (maps, *, foreground_threshold, heat_threshold, heat_sigma, window, join_distance, join_dip, snap,
    reach, min_area, min_score, min_peak, threads=None))]
#[allow(clippy::too_many_arguments)]
pub fn group<'py>(
    py: Python<'py>,
    maps: &Bound<'py, PyAny>,
    foreground_threshold: f64,
    heat_threshold: f64,
    heat_sigma: f64,
    window: i64,
    join_distance: f64,
    join_dip: f64,
    snap: f64,
    reach: i64,
    min_area: i64,
    min_score: f64,
    min_peak: f64,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Lists<'py>> {
    let settings = GroupSettings {
        foreground_threshold,
        heat_threshold,
        heat_sigma,
        window: count("window", window)?,
        join_distance,
        join_dip,
        snap,
        reach: count("reach", reach)?,
        min_area: count("min_area", min_area)? as u64,
        min_score,
        min_peak,
    };
    let maps = array::<u8, Ix3>("maps", "an array (H, W, 4) of uint8", maps)?;
    let view = maps.as_array();
    let grouped =
        border::run(py, threads, view.len(), || kernel::group(view, &settings))?.map_err(raised)?;
    Ok(returned(py, grouped))
}

#[pyfunction]
#[pyo3(signature = (*, heat_sigma, window, join_distance, snap, reach))]
pub fn group_margin(
    heat_sigma: f64,
    window: i64,
    join_distance: f64,
    snap: f64,
    reach: i64,
) -> PyResult<usize> {
    // The thresholds say which pixels and centres count, not how far anything looks.
    let settings = GroupSettings {
        heat_sigma,
        window: count("window", window)?,
        join_distance,
        snap,
        reach: count("reach", reach)?,
        foreground_threshold: 0.0,
        heat_threshold: 0.0,
        join_dip: 0.0,
        min_area: 0,
        min_score: 0.0,
        min_peak: 0.0,
    };
    settings.validate().map_err(raised)?;
    Ok(settings.margin())
}

/// A setting that counts something; how far up it may go is the kernel's to say.
fn count(name: &str, value: i64) -> PyResult<usize> {
    usize::try_from(value)
        .map_err(|_| SettingsError::new_err(format!("{name}: expected 0 or more, got {value}")))
}

fn returned(py: Python<'_>, grouped: Grouped) -> Lists<'_> {
    let centres = Array2::from_shape_fn((grouped.centres.len(), 2), |(nucleus, axis)| {
        grouped.centres[nucleus][axis] as i64
    });
    (
        grouped.labels.into_pyarray(py),
        centres.into_pyarray(py),
        grouped.scores.into_pyarray(py),
        grouped.peaks.into_pyarray(py),
    )
}

fn raised(error: GroupError) -> PyErr {
    let message = error.to_string();
    match error {
        GroupError::Setting { .. } => SettingsError::new_err(message),
        GroupError::Channels { .. } | GroupError::Size { .. } => MaskError::new_err(message),
    }
}
