//! Statistics of an intensity image over every nucleus of a label image.
//!
//! The values of a nucleus are gathered in raster order and added in that order in double precision. So every number
//! depends on the nucleus alone, not on threads or on its surroundings.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::Error;
use crate::interrupt;
use crate::labels::by_label::ByLabel;
use crate::runs::{Run, find_runs, rows_of};
use crate::shape::measure::check;

/// The number of statistics before the percentiles: mean, standard deviation, least, greatest, sum.
pub const MOMENTS: usize = 5;

/// The pixels of an image by label.
struct Gathered {
    labels: Vec<u32>,
    /// Values of the label at a place lie at `starts[place]..starts[place + 1]`, in raster order.
    starts: Vec<usize>,
    values: Vec<f32>,
}

/// Return the labels present, ascending, and for each a row of statistics: mean, standard deviation (of the population),
/// least, greatest, sum, and the percentiles (linear between values), which are given in percent.
///
/// # Errors
/// If the intensity image has another shape than the label image, or the label image is too wide.
pub fn statistics(
    labels: ArrayView2<'_, u32>,
    intensity: ArrayView2<'_, f32>,
    percents: &[f64],
) -> Result<(Vec<u32>, Array2<f64>), Error> {
    check(labels, Some(intensity))?;
    let mut gathered = gather(labels, intensity);
    let columns = MOMENTS + percents.len();
    let mut table = Array2::zeros((gathered.labels.len(), columns));
    let mut parts: Vec<&mut [f32]> = Vec::with_capacity(gathered.labels.len());
    let mut rest = gathered.values.as_mut_slice();
    for bounds in gathered.starts.windows(2) {
        let (part, after) = rest.split_at_mut(bounds[1] - bounds[0]);
        parts.push(part);
        rest = after;
    }
    table
        .as_slice_mut()
        .expect("a new array lies in one piece")
        .par_chunks_mut(columns)
        .zip(parts)
        .for_each(|(row, values)| {
            interrupt::check();
            describe(values, percents, row);
        });
    Ok((gathered.labels, table))
}

fn gather(labels: ArrayView2<'_, u32>, intensity: ArrayView2<'_, f32>) -> Gathered {
    let labels = labels.as_standard_layout();
    let mut places = ByLabel::<u32>::new(labels.len());
    let mut present: Vec<u32> = Vec::new();
    let mut counts: Vec<usize> = Vec::new();
    let mut runs: Vec<(usize, Run<u32>)> = Vec::new();
    let mut of_row: Vec<Run<u32>> = Vec::new();
    for (row, line) in rows_of(labels.view()).enumerate() {
        interrupt::check();
        of_row.clear();
        find_runs(line, &mut of_row);
        for run in &of_row {
            let place = places.slot(run.value);
            if *place == 0 {
                present.push(run.value);
                counts.push(0);
                *place = present.len() as u32;
            }
            counts[*place as usize - 1] += run.columns().len();
            runs.push((row, *run));
        }
    }
    let mut order: Vec<usize> = (0..present.len()).collect();
    order.sort_unstable_by_key(|&place| present[place]);
    let mut starts = vec![0];
    let mut next = vec![0; present.len()];
    for &place in &order {
        let start = starts[starts.len() - 1];
        next[place] = start;
        starts.push(start + counts[place]);
    }
    let mut values = vec![0.0; starts[present.len()]];
    for (row, run) in runs {
        let next = &mut next[places.get(run.value) as usize - 1];
        for column in run.columns() {
            values[*next] = intensity[[row, column]];
            *next += 1;
        }
    }
    Gathered {
        labels: order.into_iter().map(|place| present[place]).collect(),
        starts,
        values,
    }
}

/// Write the statistics of some values, which are sorted afterwards.
fn describe(values: &mut [f32], percents: &[f64], row: &mut [f64]) {
    let count = values.len() as f64;
    let sum: f64 = values.iter().copied().map(f64::from).sum();
    let mean = sum / count;
    let squares: f64 = values
        .iter()
        .map(|&value| (f64::from(value) - mean).powi(2))
        .sum();
    values.sort_unstable_by(f32::total_cmp);
    let (least, greatest) = (values[0], values[values.len() - 1]);
    row[..MOMENTS].copy_from_slice(&[
        mean,
        (squares / count).sqrt(),
        f64::from(least),
        f64::from(greatest),
        sum,
    ]);
    for (cell, percent) in row[MOMENTS..].iter_mut().zip(percents) {
        *cell = percentile(values, *percent);
    }
}

/// The percentile of sorted values, linear between the two nearest.
fn percentile(sorted: &[f32], percent: f64) -> f64 {
    let place = (sorted.len() - 1) as f64 * (percent / 100.0);
    let below = place.floor();
    let (low, high) = (
        f64::from(sorted[below as usize]),
        f64::from(sorted[(below as usize + 1).min(sorted.len() - 1)]),
    );
    low + (high - low) * (place - below)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn every_statistic_of_a_few_pixels_is_as_counted_by_hand() {
        let labels = array![[7, 7, 0], [2, 7, 7]];
        let image = array![[1.0, 2.0, 99.0], [5.0, 3.0, 6.0]];
        let (found, table) = statistics(labels.view(), image.view(), &[50.0, 100.0]).unwrap();
        assert_eq!(found, [2, 7]);
        assert_eq!(table.row(0).to_vec(), [5.0, 0.0, 5.0, 5.0, 5.0, 5.0, 5.0]);
        let deviation = (3.5_f64).sqrt();
        assert_eq!(
            table.row(1).to_vec(),
            [3.0, deviation, 1.0, 6.0, 12.0, 2.5, 6.0]
        );
    }
}
