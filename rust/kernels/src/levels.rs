//! Pixel values of 8 or 16 bits: how often each occurs, their sums over boxes, and their normalisation to 0..1.

use crate::interrupt;

/// A pixel value, which is also a place in a table of counts.
pub trait Value: Copy + Into<usize> + Into<u32> + Into<f32> + Sync {
    /// The number of different values.
    const NUMBER: usize;
}

impl Value for u8 {
    const NUMBER: usize = 1 << 8;
}

impl Value for u16 {
    const NUMBER: usize = 1 << 16;
}

/// The number of pixels between two checks for interrupts.
const PART: usize = 1 << 16;

/// Count the pixels of each value.
pub fn count_values<T: Value>(pixels: &[T]) -> Vec<i64> {
    let mut counts = vec![0; T::NUMBER];
    // Neighbours often have one value. Two tables let the processor count them at the same time.
    let mut of_odd = counts.clone();
    for part in pixels.chunks(PART) {
        interrupt::check();
        let (pairs, rest) = part.as_chunks::<2>();
        for &[even, odd] in pairs {
            counts[Into::<usize>::into(even)] += 1;
            of_odd[Into::<usize>::into(odd)] += 1;
        }
        for &value in rest {
            counts[Into::<usize>::into(value)] += 1;
        }
    }
    for (count, other) in counts.iter_mut().zip(of_odd) {
        *count += other;
    }
    counts
}

/// The number of rows whose values 32 bits can add up.
const SUMMED_ROWS: usize = 1 << 16;

/// Add up the values of each channel in each box of a grid.
///
/// `pixels` are those of an image, row by row, with all channels of a pixel side by side. `rows` and `columns` are where
/// the boxes begin and end, in ascending order and within the image. The result has the boxes row by row, with the sums
/// of all channels of a box side by side.
pub fn box_sums<T: Value>(
    pixels: &[T],
    width: usize,
    channels: usize,
    rows: &[usize],
    columns: &[usize],
) -> Vec<i64> {
    let line = width * channels;
    let mut sums = Vec::new();
    let mut column_sums = vec![0_u32; line];
    for strip in rows.windows(2) {
        let first = sums.len();
        sums.resize(first + columns.len().saturating_sub(1) * channels, 0);
        let lines = &pixels[strip[0] * line..strip[1] * line];
        for lines in lines.chunks(SUMMED_ROWS * line.max(1)) {
            interrupt::check();
            column_sums.fill(0);
            for values in lines.chunks_exact(line) {
                for (sum, &value) in column_sums.iter_mut().zip(values) {
                    *sum += Into::<u32>::into(value);
                }
            }
            let boxes = sums[first..].chunks_exact_mut(channels);
            for (sums, columns) in boxes.zip(columns.windows(2)) {
                let within = &column_sums[columns[0] * channels..columns[1] * channels];
                for pixel in within.chunks_exact(channels) {
                    for (sum, &value) in sums.iter_mut().zip(pixel) {
                        *sum += i64::from(value);
                    }
                }
            }
        }
    }
    sums
}

/// Write the values as shares of the range from `low` on, clipped to 0..1, in single precision.
pub fn normalise<T: Value>(pixels: &[T], low: f32, range: f32, shares: &mut [f32]) {
    for (pixels, shares) in pixels.chunks(PART).zip(shares.chunks_mut(PART)) {
        interrupt::check();
        for (share, &value) in shares.iter_mut().zip(pixels) {
            *share = ((Into::<f32>::into(value) - low) / range).clamp(0.0, 1.0);
        }
    }
}
