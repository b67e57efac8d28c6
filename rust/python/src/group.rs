//! `nucleus_kernels::group` for Python.

use nucleus_kernels::group as kernel;
use nucleus_kernels::group::{GroupConfig, MEASUREMENTS, QualityScore, TERMS};
use numpy::{IntoPyArray, Ix3, PyArray1, PyArray2};
use pyo3::prelude::*;

use crate::arrays::{array, columns};
use crate::border::{self, SettingsError};

type Lists<'py> = (
    Bound<'py, PyArray2<u32>>,
    Bound<'py, PyArray2<i64>>,
    Bound<'py, PyArray1<f32>>,
    Bound<'py, PyArray1<f32>>,
    Bound<'py, PyArray1<f32>>,
    Bound<'py, PyArray2<f64>>,
);

/// A learned function, as its JSON has it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Quality {
    mean: [f64; MEASUREMENTS],
    spread: [f64; MEASUREMENTS],
    weights: [f64; TERMS],
}

#[pyfunction]
#[pyo3(signature = (maps, *, foreground_threshold, centre_threshold, centre_sigma, window, merge_distance, merge_dip, assignment_radius,
    max_offset, min_area, min_score, min_peak, quality=None, min_quality=0.0, threads=None))]
#[allow(clippy::too_many_arguments)]
pub fn group<'py>(
    py: Python<'py>,
    maps: &Bound<'py, PyAny>,
    foreground_threshold: f64,
    centre_threshold: f64,
    centre_sigma: f64,
    window: i64,
    merge_distance: f64,
    merge_dip: f64,
    assignment_radius: f64,
    max_offset: i64,
    min_area: i64,
    min_score: f64,
    min_peak: f64,
    quality: Option<Quality>,
    min_quality: f64,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<Lists<'py>> {
    let config = GroupConfig {
        foreground_threshold,
        centre_threshold,
        centre_sigma,
        window: count("window", window)?,
        merge_distance,
        merge_dip,
        assignment_radius,
        max_offset: count("max_offset", max_offset)?,
        min_area: count("min_area", min_area)? as u64,
        min_score,
        min_peak,
        quality: quality.map(|it| QualityScore {
            mean: it.mean,
            spread: it.spread,
            weights: it.weights,
        }),
        min_quality,
    };
    let maps = array::<u8, Ix3>("maps", "an array (H, W, 4) of uint8", maps)?;
    let view = maps.as_array();
    let grouped = border::run(py, threads, view.len(), || kernel::group(view, &config))?;
    Ok((
        grouped.labels.into_pyarray(py),
        columns(py, &grouped.centres, |centre| {
            centre.map(|place| place as i64)
        }),
        grouped.scores.into_pyarray(py),
        grouped.peaks.into_pyarray(py),
        grouped
            .qualities
            .unwrap_or_else(|| vec![f32::NAN; grouped.centres.len()])
            .into_pyarray(py),
        columns(py, &grouped.measurements, |values| *values),
    ))
}

#[pyfunction]
#[pyo3(signature = (*, centre_sigma, window, merge_distance, assignment_radius, max_offset))]
pub fn group_margin(
    centre_sigma: f64,
    window: i64,
    merge_distance: f64,
    assignment_radius: f64,
    max_offset: i64,
) -> PyResult<usize> {
    // The thresholds have no influence on the margin.
    let config = GroupConfig {
        centre_sigma,
        window: count("window", window)?,
        merge_distance,
        assignment_radius,
        max_offset: count("max_offset", max_offset)?,
        foreground_threshold: 0.0,
        centre_threshold: 0.0,
        merge_dip: 0.0,
        min_area: 0,
        min_score: 0.0,
        min_peak: 0.0,
        quality: None,
        min_quality: 0.0,
    };
    config.validate().map_err(border::raised)?;
    Ok(config.margin())
}

/// A setting that counts something. The kernel checks its upper limit.
fn count(name: &str, value: i64) -> PyResult<usize> {
    usize::try_from(value)
        .map_err(|_| SettingsError::new_err(format!("{name}: expected 0 or more, got {value}")))
}
