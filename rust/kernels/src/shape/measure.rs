//! Size, place and mean values of every nucleus of a label image.
//!
//! Sums of counts and bytes are exact. Intensities are added in double precision, first along each run of a row from
//! left to right, then run by run in raster order: a sum that depends on the nucleus alone, not on threads or on what
//! surrounds it.

use ndarray::ArrayView2;
use rayon::prelude::*;
use thiserror::Error;

use crate::interrupt;
use crate::labels::by_label::ByLabel;
use crate::runs::{Run, find_runs};

/// Rows whose runs are in memory at a time.
const BATCH: usize = 256;

/// Why a label image could not be measured.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MeasureError {
    /// An image does not lie on the label image.
    #[error("{name}: expected the shape of the labels, {expected:?}, got {got:?}")]
    Shape {
        /// The image that does not fit.
        name: &'static str,
        /// Rows and columns of the label image.
        expected: (usize, usize),
        /// Rows and columns of the other image.
        got: (usize, usize),
    },
    /// Columns cannot be counted in 32 bits.
    #[error("labels: expected at most 2^32 - 1 columns, got {0}")]
    Width(usize),
}

/// What is known of one nucleus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measurement {
    /// Its number in the label image.
    pub label: u32,
    /// Number of its pixels.
    pub area: u64,
    /// First row, first column, and the row and column after the last ones.
    pub bounding_box: [usize; 4],
    /// Mean row and column of its pixels.
    pub centroid: [f64; 2],
    /// Mean of the intensity image over it, if one was given.
    pub mean_intensity: Option<f64>,
    /// Mean of the probability image over it, 0 to 1, if one was given.
    pub mean_probability: Option<f64>,
}

/// Measure every label present, ascending; 0 is background. Probabilities are bytes, 255 for 1.
///
/// # Errors
/// If the intensity or probability image does not have the shape of the label image, or that is too wide.
pub fn measure(
    labels: ArrayView2<'_, u32>,
    intensity: Option<ArrayView2<'_, f32>>,
    probability: Option<ArrayView2<'_, u8>>,
) -> Result<Vec<Measurement>, MeasureError> {
    let expected = labels.dim();
    check("intensity", expected, intensity.map(|image| image.dim()))?;
    check(
        "probability",
        expected,
        probability.map(|image| image.dim()),
    )?;
    if u32::try_from(expected.1).is_err() {
        return Err(MeasureError::Width(expected.1));
    }
    let labels = labels.as_standard_layout();
    let labels = labels.view();
    let mut totals: Vec<(u32, Totals)> = Vec::new();
    // One more than the place in `totals`; 0 for a label that was not met yet.
    let mut places = ByLabel::<u32>::new(labels.len());
    for first in (0..expected.0).step_by(BATCH) {
        let rows: Vec<Vec<RunSums>> = (first..expected.0.min(first + BATCH))
            .into_par_iter()
            .map(|row| runs_of_row(row, labels, intensity, probability))
            .collect();
        for (row, sums) in (first..).zip(&rows) {
            for sums in sums {
                let label = sums.run.value;
                let place = places.slot(label);
                if *place == 0 {
                    totals.push((label, Totals::new(row, sums)));
                    *place = totals.len() as u32;
                } else {
                    totals[*place as usize - 1].1.add(row, sums);
                }
            }
        }
    }
    totals.sort_unstable_by_key(|(label, _)| *label);
    Ok(totals
        .into_iter()
        .map(|(label, sum)| Measurement {
            label,
            area: sum.area,
            bounding_box: sum.bounding_box,
            centroid: sum.places.map(|places| places as f64 / sum.area as f64),
            mean_intensity: intensity.map(|_| sum.intensity / sum.area as f64),
            mean_probability: probability.map(|_| sum.probability as f64 / (255 * sum.area) as f64),
        })
        .collect())
}

pub(crate) fn check(
    name: &'static str,
    expected: (usize, usize),
    got: Option<(usize, usize)>,
) -> Result<(), MeasureError> {
    match got {
        Some(got) if got != expected => Err(MeasureError::Shape {
            name,
            expected,
            got,
        }),
        _ => Ok(()),
    }
}

/// A run and what is under it: less than a nucleus's totals, of which there would be as many as runs.
#[derive(Debug, Clone, Copy)]
struct RunSums {
    run: Run<u32>,
    intensity: f64,
    probability: u64,
}

/// Sums over pixels of one nucleus.
#[derive(Debug, Clone, Copy)]
struct Totals {
    area: u64,
    bounding_box: [usize; 4],
    places: [u64; 2],
    intensity: f64,
    probability: u64,
}

impl Totals {
    /// Those of one run.
    fn new(row: usize, sums: &RunSums) -> Self {
        let columns = sums.run.columns();
        let area = columns.len() as u64;
        Self {
            area,
            bounding_box: [row, columns.start, row + 1, columns.end],
            places: [
                area * row as u64,
                (columns.start + columns.end - 1) as u64 * area / 2,
            ],
            intensity: sums.intensity,
            probability: sums.probability,
        }
    }

    /// Take in a run of this row or of a later one.
    fn add(&mut self, row: usize, sums: &RunSums) {
        let run = Self::new(row, sums);
        let [top, left, _, right] = self.bounding_box;
        let [_, before, below, after] = run.bounding_box;
        self.area += run.area;
        self.bounding_box = [top, left.min(before), below, right.max(after)];
        self.places[0] += run.places[0];
        self.places[1] += run.places[1];
        self.intensity += run.intensity;
        self.probability += run.probability;
    }
}

fn runs_of_row(
    row: usize,
    labels: ArrayView2<'_, u32>,
    intensity: Option<ArrayView2<'_, f32>>,
    probability: Option<ArrayView2<'_, u8>>,
) -> Vec<RunSums> {
    interrupt::check();
    let line = labels.row(row);
    let mut runs: Vec<Run<u32>> = Vec::new();
    find_runs(line.to_slice().expect("a row lies in one piece"), &mut runs);
    let sums = |run: Run<u32>| {
        let columns = run.columns();
        RunSums {
            run,
            intensity: intensity.map_or(0.0, |image| {
                columns.clone().map(|c| f64::from(image[[row, c]])).sum()
            }),
            probability: probability.map_or(0, |image| {
                columns.clone().map(|c| u64::from(image[[row, c]])).sum()
            }),
        }
    };
    runs.into_iter().map(sums).collect()
}
