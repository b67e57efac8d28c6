//! The centre heatmap in integers, smoothed on request.

use ndarray::{Array2, ArrayView1, ArrayView2, ArrayView3, Axis};
use rayon::prelude::*;

use crate::interrupt;

/// The channel of the maps that holds the centre heatmap.
const CHANNEL: usize = 1;

/// Sum of the smoothing kernel's weights along one axis.
const WEIGHT: u16 = 256;

/// The number of rows that are smoothed together. The sums between the two passes fit in the caches.
const STRIP: usize = 32;

/// The centre heatmap times 65536, smoothed by a Gaussian of this standard deviation; edges are replicated.
pub(super) fn smooth(maps: ArrayView3<'_, u8>, sigma: f64) -> Array2<u32> {
    let heat = maps.index_axis_move(Axis(2), CHANNEL);
    if sigma == 0.0 {
        // Mapping the view would keep the memory order of the maps; a new array lies row by row.
        return Array2::from_shape_fn(heat.dim(), |pixel| {
            u32::from(heat[pixel]) * u32::from(WEIGHT).pow(2)
        });
    }
    let weights = gaussian(sigma);
    let (rows, columns) = heat.dim();
    let mut smoothed = vec![0_u32; rows * columns];
    smoothed
        .par_chunks_mut(columns * STRIP)
        .enumerate()
        .for_each(|(strip, out)| smooth_strip(heat, strip * STRIP, &weights, out));
    Array2::from_shape_vec((rows, columns), smoothed).expect("as many values as pixels")
}

/// Smooth the rows from `top` on into `out`, first across, then down.
fn smooth_strip(heat: ArrayView2<'_, u8>, top: usize, weights: &[u16], out: &mut [u32]) {
    let (rows, columns) = heat.dim();
    let radius = weights.len() - 1;
    let first = top.saturating_sub(radius);
    let after = (top + out.len() / columns + radius).min(rows);
    let mut across = vec![0_u16; (after - first) * columns];
    let mut framed = vec![0_u16; columns + 2 * radius];
    for (row, sums) in (first..).zip(across.chunks_exact_mut(columns)) {
        interrupt::check();
        frame(heat.row(row), radius, &mut framed);
        add_beside(&framed, weights, sums);
    }
    for (row, sums) in (top..).zip(out.chunks_exact_mut(columns)) {
        interrupt::check();
        add_rows(&across, row - first, weights, sums);
    }
}

/// Copy a row and repeat its first and last value on both sides.
fn frame(row: ArrayView1<'_, u8>, radius: usize, framed: &mut [u16]) {
    let end = radius + row.len();
    for (place, &value) in framed[radius..end].iter_mut().zip(row) {
        *place = value.into();
    }
    let (left, right) = (framed[radius], framed[end - 1]);
    framed[..radius].fill(left);
    framed[end..].fill(right);
}

/// Write the weighted sum of the values beside each value of a row. `framed` repeats the ends of the row. 16 bits hold the
/// sums.
fn add_beside(framed: &[u16], weights: &[u16], sums: &mut [u16]) {
    let radius = weights.len() - 1;
    for (sum, value) in sums.iter_mut().zip(&framed[radius..]) {
        *sum = weights[0] * value;
    }
    for (distance, weight) in weights.iter().enumerate().skip(1) {
        let (left, right) = (&framed[radius - distance..], &framed[radius + distance..]);
        for (sum, (left, right)) in sums.iter_mut().zip(left.iter().zip(right)) {
            *sum += weight * (left + right);
        }
    }
}

/// The weights of an integer Gaussian by distance from its middle. The weights of both sides sum to [`WEIGHT`].
///
/// The running sum from the tail is rounded, not each weight, so that errors do not add up in the middle.
fn gaussian(sigma: f64) -> Vec<u16> {
    let radius = super::config::whole(3.0 * sigma);
    let ideal: Vec<f64> = (0..=radius)
        .map(|distance| (-0.5 * (distance as f64 / sigma).powi(2)).exp())
        .collect();
    let total = ideal[0] + 2.0 * ideal[1..].iter().sum::<f64>();
    let mut weights = vec![0; radius + 1];
    let (mut tail, mut rounded) = (0.0, 0);
    for distance in (1..=radius).rev() {
        tail += ideal[distance];
        let sum = (f64::from(WEIGHT) * tail / total).round() as u16;
        weights[distance] = sum - rounded;
        rounded = sum;
    }
    weights[0] = WEIGHT - 2 * rounded;
    weights
}

/// Write the weighted sum of the values above and below each value of a row of `plane`. Its first and last rows are
/// repeated.
fn add_rows(plane: &[u16], row: usize, weights: &[u16], sums: &mut [u32]) {
    let columns = sums.len();
    let last = plane.len() / columns - 1;
    let line = |row: usize| &plane[row * columns..][..columns];
    for (sum, &value) in sums.iter_mut().zip(line(row)) {
        *sum = u32::from(weights[0]) * u32::from(value);
    }
    for (distance, &weight) in weights.iter().enumerate().skip(1) {
        let above = line(row.saturating_sub(distance));
        let below = line((row + distance).min(last));
        for (sum, (&upper, &lower)) in sums.iter_mut().zip(above.iter().zip(below)) {
            // Two products of 16 bits are faster than one of 32.
            *sum += u32::from(weight) * u32::from(upper) + u32::from(weight) * u32::from(lower);
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
            assert_eq!(weights[0] + 2 * weights[1..].iter().sum::<u16>(), WEIGHT);
            assert!(weights[1..].iter().all(|&weight| weight <= weights[0] + 1));
        }
    }
}
