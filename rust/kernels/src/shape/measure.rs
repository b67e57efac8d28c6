//! Area, bounding box, centroid and mean values of every nucleus of a label image.
//!
//! Sums of counts and bytes are exact. Intensities are added in double precision, first along each run of a row from
//! left to right, then run by run in raster order. So a sum depends on the nucleus alone, not on threads or on its
//! surroundings.

use ndarray::ArrayView2;
use rayon::prelude::*;
use thiserror::Error;

use crate::interrupt;
use crate::labels::by_label::ByLabel;
use crate::runs::{Run, find_runs};

/// The number of rows whose runs are in memory at a time.
const BATCH: usize = 256;

/// Why a label image cannot be measured.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MeasureError {
    /// An image has another shape than the label image.
    #[error("{name}: expected the shape of the labels, {expected:?}, got {got:?}")]
    Shape {
        /// The name of the image.
        name: &'static str,
        /// Rows and columns of the label image.
        expected: (usize, usize),
        /// Rows and columns of the other image.
        got: (usize, usize),
    },
    /// The image has more columns than 32 bits can number.
    #[error("labels: expected at most 2^32 - 1 columns, got {0}")]
    Width(usize),
}

/// The measurements of one nucleus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measurement {
    /// The label of the nucleus.
    pub label: u32,
    /// The number of its pixels.
    pub area: u64,
    /// The first row and column, and the row and column after the last ones.
    pub bounding_box: [usize; 4],
    /// The mean row and column of its pixels.
    pub centroid: [f64; 2],
    /// The mean of the intensity image over the nucleus, if there is such an image.
    pub mean_intensity: Option<f64>,
    /// The mean of the probability image over the nucleus, 0 to 1, if there is such an image.
    pub mean_probability: Option<f64>,
}

/// Measure every label present, ascending; 0 is background. Probabilities are bytes, 255 for 1.
///
/// # Errors
/// If an image has another shape than the label image, or the label image is too wide.
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
    // The place in `totals` plus 1; 0 for a new label.
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

/// A run with the sums over its pixels. It takes less memory than the totals of a nucleus.
#[derive(Debug, Clone, Copy)]
struct RunSums {
    run: Run<u32>,
    intensity: f64,
    probability: u64,
}

/// The sums over the pixels of one nucleus.
#[derive(Debug, Clone, Copy)]
struct Totals {
    area: u64,
    bounding_box: [usize; 4],
    /// The sums of rows and of columns, which exceed 64 bits in the largest images.
    places: [u128; 2],
    intensity: f64,
    probability: u64,
}

impl Totals {
    /// The totals of one run.
    fn new(row: usize, sums: &RunSums) -> Self {
        let columns = sums.run.columns();
        let area = columns.len() as u64;
        Self {
            area,
            bounding_box: [row, columns.start, row + 1, columns.end],
            places: [
                u128::from(area) * row as u128,
                (columns.start + columns.end - 1) as u128 * u128::from(area) / 2,
            ],
            intensity: sums.intensity,
            probability: sums.probability,
        }
    }

    /// Add a run of the last row or of a later one.
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
