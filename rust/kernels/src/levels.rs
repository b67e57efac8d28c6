//! Pixel values of 8 or 16 bits: how often each occurs, and their normalisation to 0..1.

use crate::interrupt;

/// A pixel value, which is also a place in a table of counts.
pub trait Value: Copy + Into<usize> + Into<f32> + Sync {
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

/// Write the values as shares of the range from `low` on, clipped to 0..1, in single precision.
pub fn normalise<T: Value>(pixels: &[T], low: f32, range: f32, shares: &mut [f32]) {
    for (pixels, shares) in pixels.chunks(PART).zip(shares.chunks_mut(PART)) {
        interrupt::check();
        for (share, &value) in shares.iter_mut().zip(pixels) {
            *share = ((Into::<f32>::into(value) - low) / range).clamp(0.0, 1.0);
        }
    }
}
