//! Area, bounding box, centroid and mean intensity of every nucleus of a label image.
//!
//! Sums of counts are exact. Intensities are added in double precision, first along each run of a row from
//! left to right, then run by run in raster order. So a sum depends on the nucleus alone, not on threads or on its
//! surroundings.

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::error::{Error, check_shape};
use crate::interrupt;
use crate::labels::by_label::ByLabel;
use crate::runs::{Run, find_runs, in_contiguous_rows, row_of};

/// The number of rows whose runs are in memory at a time.
const BATCH: usize = 256;

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
}

/// Measure every label present, ascending; 0 is background.
///
/// # Errors
/// If the intensity image has another shape than the label image, or the label image is too wide.
pub fn measure<T: Copy + Into<f64> + Sync>(
    labels: ArrayView2<'_, u32>,
    intensity: Option<ArrayView2<'_, T>>,
) -> Result<Vec<Measurement>, Error> {
    check(labels, intensity)?;
    let height = labels.nrows();
    let labels = in_contiguous_rows(labels);
    let labels = labels.view();
    let mut totals: Vec<(u32, Totals)> = Vec::new();
    // The place in `totals` plus 1; 0 for a new label.
    let mut places = ByLabel::<u32>::new(labels.len());
    for first in (0..height).step_by(BATCH) {
        let rows: Vec<Vec<RunSum>> = (first..height.min(first + BATCH))
            .into_par_iter()
            .map(|row| runs_of_row(row, labels, intensity))
            .collect();
        for (row, runs) in (first..).zip(&rows) {
            for sums in runs {
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
        })
        .collect())
}

/// Refuse an intensity image of another shape than the label image, and a label image whose runs 32 bits cannot hold.
pub(crate) fn check<T>(
    labels: ArrayView2<'_, u32>,
    intensity: Option<ArrayView2<'_, T>>,
) -> Result<(), Error> {
    if let Some(intensity) = intensity {
        check_intensity(labels, intensity)?;
    }
    let width = labels.ncols();
    if u32::try_from(width).is_err() {
        let message = format!("labels: expected at most 2^32 - 1 columns, got {width}");
        return Err(Error::Data(message));
    }
    Ok(())
}

/// Refuse an intensity image of another shape than the label image.
pub(crate) fn check_intensity<T>(
    labels: ArrayView2<'_, u32>,
    intensity: ArrayView2<'_, T>,
) -> Result<(), Error> {
    check_shape(
        "intensity",
        "the shape of the labels,",
        labels.dim(),
        intensity.dim(),
    )
}

/// A run with the sum of the intensities of its pixels. It takes less memory than the totals of a nucleus.
#[derive(Debug, Clone, Copy)]
struct RunSum {
    run: Run<u32>,
    intensity: f64,
}

/// The sums over the pixels of one nucleus.
#[derive(Debug, Clone, Copy)]
struct Totals {
    area: u64,
    bounding_box: [usize; 4],
    /// The sums of rows and of columns, which exceed 64 bits in the largest images.
    places: [u128; 2],
    intensity: f64,
}

impl Totals {
    /// The totals of one run.
    fn new(row: usize, sums: &RunSum) -> Self {
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
        }
    }

    /// Add a run of the last row or of a later one.
    fn add(&mut self, row: usize, sums: &RunSum) {
        let run = Self::new(row, sums);
        let [top, left, _, right] = self.bounding_box;
        let [_, before, below, after] = run.bounding_box;
        self.area += run.area;
        self.bounding_box = [top, left.min(before), below, right.max(after)];
        self.places[0] += run.places[0];
        self.places[1] += run.places[1];
        self.intensity += run.intensity;
    }
}

fn runs_of_row<T: Copy + Into<f64>>(
    row: usize,
    labels: ArrayView2<'_, u32>,
    intensity: Option<ArrayView2<'_, T>>,
) -> Vec<RunSum> {
    interrupt::check();
    let mut runs: Vec<Run<u32>> = Vec::new();
    find_runs(row_of(labels, row), &mut runs);
    let sum = |run: Run<u32>| RunSum {
        run,
        intensity: intensity.map_or(0.0, |image| {
            let values = run.columns().map(|column| image[[row, column]]);
            values.map(Into::into).sum()
        }),
    };
    runs.into_iter().map(sum).collect()
}
