//! The centre heat in integers, smoothed if so asked.

use ndarray::{Array2, ArrayView3, Axis};
use rayon::prelude::*;

use crate::interrupt;

/// Channel of the maps that holds the centre heat.
const CHANNEL: usize = 1;

/// Sum of the smoothing kernel's weights along one axis.
const WEIGHT: u32 = 256;

/// Centre heat times 65536, smoothed by a Gaussian of this standard deviation with edges replicated.
pub(super) fn smooth(maps: ArrayView3<'_, u8>, sigma: f64) -> Array2<u32> {
    let heat = maps.index_axis_move(Axis(2), CHANNEL);
    if sigma == 0.0 {
        // Built anew rather than mapped, which would keep the order that the maps have in memory.
        return Array2::from_shape_fn(heat.dim(), |pixel| u32::from(heat[pixel]) * WEIGHT * WEIGHT);
    }
    let weights = gaussian(sigma);
    let (rows, columns) = heat.dim();
    let mut across = vec![0_u32; rows * columns];
    across
        .par_chunks_mut(columns)
        .enumerate()
        .for_each(|(row, out)| {
            interrupt::check();
            let values: Vec<u32> = heat.row(row).iter().map(|&value| value.into()).collect();
            smooth_row(&values, &weights, out);
        });
    let mut both = vec![0_u32; rows * columns];
    both.par_chunks_mut(columns)
        .enumerate()
        .for_each(|(row, out)| {
            interrupt::check();
            add_rows(&across, row, &weights, out);
        });
    Array2::from_shape_vec((rows, columns), both).expect("as many values as pixels")
}

/// Weights of an integer Gaussian by distance from its middle; both sides together sum to [`WEIGHT`].
///
/// The running sum from the tail is rounded, rather than each weight, so that errors do not pile up in the middle.
fn gaussian(sigma: f64) -> Vec<u32> {
    let radius = super::settings::whole(3.0 * sigma);
    let ideal: Vec<f64> = (0..=radius)
        .map(|distance| (-0.5 * (distance as f64 / sigma).powi(2)).exp())
        .collect();
    let total = ideal[0] + 2.0 * ideal[1..].iter().sum::<f64>();
    let mut weights = vec![0; radius + 1];
    let (mut tail, mut rounded) = (0.0, 0);
    for distance in (1..=radius).rev() {
        tail += ideal[distance];
        let sum = (f64::from(WEIGHT) * tail / total).round() as u32;
        weights[distance] = sum - rounded;
        rounded = sum;
    }
    weights[0] = WEIGHT - 2 * rounded;
    weights
}

fn smooth_row(values: &[u32], weights: &[u32], out: &mut [u32]) {
    let last = values.len() - 1;
    for (column, sum) in out.iter_mut().enumerate() {
        *sum = weights[0] * values[column];
        for (distance, weight) in weights.iter().enumerate().skip(1) {
            let left = values[column.saturating_sub(distance)];
            let right = values[(column + distance).min(last)];
            *sum += weight * (left + right);
        }
    }
}

/// Weighted sum of the rows around `row`.
fn add_rows(plane: &[u32], row: usize, weights: &[u32], out: &mut [u32]) {
    let columns = out.len();
    let last = plane.len() / columns - 1;
    let line = |row: usize| &plane[row * columns..][..columns];
    for (sum, value) in out.iter_mut().zip(line(row)) {
        *sum = weights[0] * value;
    }
    for (distance, weight) in weights.iter().enumerate().skip(1) {
        let above = line(row.saturating_sub(distance));
        let below = line((row + distance).min(last));
        for (sum, (upper, lower)) in out.iter_mut().zip(above.iter().zip(below)) {
            *sum += weight * (upper + lower);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_exactly_and_peak_in_the_middle() {
        for tenths in 1..=160 {
            let weights = gaussian(f64::from(tenths) / 10.0);
            assert_eq!(weights[0] + 2 * weights[1..].iter().sum::<u32>(), WEIGHT);
            assert!(weights[1..].iter().all(|&weight| weight <= weights[0] + 1));
        }
    }
}
