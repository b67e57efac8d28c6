//! The centre heatmap in integers, smoothed on request.

use ndarray::{Array2, ArrayView3, Axis};
use rayon::prelude::*;

use super::{CHANNELS, STRETCH};
use crate::interrupt;

/// The channel of the maps that holds the centre heatmap.
const CHANNEL: usize = 1;

/// Sum of the smoothing kernel's weights along one axis.
const WEIGHT: u16 = 256;

/// The number of rows that are smoothed together. The sums between the two passes fit in the caches.
const STRIP: usize = 64;

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
        .for_each_init(Scratch::default, |scratch, (strip, out)| {
            smooth_strip(maps, strip * STRIP, &weights, scratch, out);
        });
    Array2::from_shape_vec((rows, columns), smoothed).expect("as many values as pixels")
}

/// The memory of a strip, which the next strip uses again: new memory would have to be cleared first.
#[derive(Default)]
struct Scratch {
    /// A row of the heat with its ends repeated.
    framed: Vec<u16>,
    /// The sums across, row by row. Only those of warm stretches are written and read.
    across: Vec<u16>,
    /// Whether each stretch of each row has heat.
    warm: Vec<bool>,
}

/// Smooth the rows from `top` on into `out`, first across, then down. Stretches without heat, which most are, stay 0.
fn smooth_strip(
    maps: ArrayView3<'_, u8>,
    top: usize,
    weights: &[u16],
    scratch: &mut Scratch,
    out: &mut [u32],
) {
    let (rows, columns, _) = maps.dim();
    let radius = weights.len() - 1;
    let first = top.saturating_sub(radius);
    let after = (top + out.len() / columns + radius).min(rows);
    let stretches = columns.div_ceil(STRETCH);
    let Scratch {
        framed,
        across,
        warm,
    } = scratch;
    framed.resize(columns + 2 * radius, 0);
    across.resize((after - first) * columns, 0);
    warm.resize((after - first) * stretches, false);
    let lines = across.chunks_exact_mut(columns);
    for ((row, sums), warm) in (first..).zip(lines).zip(warm.chunks_exact_mut(stretches)) {
        interrupt::check();
        let pixels = maps.index_axis_move(Axis(0), row);
        let pixels = pixels.to_slice().expect("maps are laid out row by row");
        frame(pixels.as_chunks().0, radius, framed);
        let starts = (0..columns).step_by(STRETCH);
        for ((start, sums), warm) in starts.zip(sums.chunks_mut(STRETCH)).zip(warm) {
            let near = &framed[start..][..sums.len() + 2 * radius];
            *warm = near.iter().fold(0, |any, value| any | value) != 0;
            if *warm {
                add_beside(near, weights, sums);
            }
        }
    }
    let last = after - first - 1;
    for (row, sums) in (top - first..).zip(out.chunks_exact_mut(columns)) {
        interrupt::check();
        for (stretch, sums) in sums.chunks_mut(STRETCH).enumerate() {
            let mut add = |row: usize, weight: u16| {
                if warm[row * stretches + stretch] {
                    let start = row * columns + stretch * STRETCH;
                    add_weighted(&across[start..][..sums.len()], weight, sums);
                }
            };
            add(row, weights[0]);
            for (distance, &weight) in weights.iter().enumerate().skip(1) {
                add(row.saturating_sub(distance), weight);
                add((row + distance).min(last), weight);
            }
        }
    }
}

/// Copy the heat of a row of maps and repeat its first and last value on both sides.
fn frame(row: &[[u8; CHANNELS]], radius: usize, framed: &mut [u16]) {
    let end = radius + row.len();
    for (place, pixel) in framed[radius..end].iter_mut().zip(row) {
        *place = pixel[CHANNEL].into();
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

/// Add the weighted values of another row.
fn add_weighted(values: &[u16], weight: u16, sums: &mut [u32]) {
    for (sum, &value) in sums.iter_mut().zip(values) {
        *sum += u32::from(weight) * u32::from(value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn heat_of_a_few_warm_pixels_is_smoothed_by_definition(
            (rows, columns) in (1_usize..150, 1_usize..100),
            warm in proptest::collection::vec((any::<u16>(), any::<u16>(), any::<u8>()), 0..5),
            sigma in 0.3..4.0,
        ) {
            let mut maps = ndarray::Array3::<u8>::zeros((rows, columns, 4));
            for (row, column, heat) in warm {
                maps[[row as usize % rows, column as usize % columns, CHANNEL]] = heat;
            }
            let weights = gaussian(sigma);
            let weight = |place: usize, of: usize| u32::from(weights.get(place.abs_diff(of)).copied().unwrap_or(0));
            let smoothed = smooth(maps.view(), sigma);
            let radius = weights.len() as i64 - 1;
            for ((row, column), &sum) in smoothed.indexed_iter() {
                let near = |place: usize, size: usize| {
                    (-radius..=radius).map(move |step| {
                        let inside = (place as i64 + step).clamp(0, size as i64 - 1) as usize;
                        (inside, weight(0, step.unsigned_abs() as usize))
                    })
                };
                let expected: u32 = near(row, rows)
                    .flat_map(|down| near(column, columns).map(move |across| (down, across)))
                    .map(|((row, down), (column, across))| down * across * u32::from(maps[[row, column, CHANNEL]]))
                    .sum();
                prop_assert_eq!(sum, expected);
            }
        }
    }

    #[test]
    fn weights_sum_exactly_and_peak_in_the_middle() {
        for tenths in 1..=160 {
            let weights = gaussian(f64::from(tenths) / 10.0);
            assert_eq!(weights[0] + 2 * weights[1..].iter().sum::<u16>(), WEIGHT);
            assert!(weights[1..].iter().all(|&weight| weight <= weights[0] + 1));
        }
    }
}
