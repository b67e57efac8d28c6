//! Components of rows in which few neighbours are equal, pixel by pixel: runs would take too much memory.
//!
//! Each pixel is compared with its earlier neighbours, in an order that seldom needs all of them. See Wu, Otoo,
//! Suzuki (2009), Optimizing two-pass connected-component labeling algorithms, <https://doi.org/10.1007/s10044-008-0109-y>.

use ndarray::ArrayView2;

use super::{Connectivity, union};
use crate::interrupt;
use crate::runs::rows_of;

/// Write to each pixel of `labels` the number of its part, from 1, and return the parent of each part, counted from 0.
/// Background is not written.
pub(super) fn label<T: Copy + PartialEq + Default>(
    image: ArrayView2<'_, T>,
    connectivity: Connectivity,
    labels: &mut [u32],
) -> Vec<u32> {
    let width = image.ncols();
    let mut parents = Vec::new();
    let (nothing, unnumbered) = (vec![T::default(); width], vec![0; width]);
    let (mut above, mut numbers_above): (&[T], &[u32]) = (&nothing, &unnumbered);
    for (here, numbers) in rows_of(image).zip(labels.chunks_exact_mut(width)) {
        interrupt::check();
        let above_it = Above {
            pixels: above,
            numbers: numbers_above,
        };
        // The fold has no early exit, so it compiles to vector instructions.
        let is_empty = here
            .iter()
            .fold(true, |all, pixel| all & (*pixel == T::default()));
        match connectivity {
            _ if is_empty => {}
            Connectivity::Four => label_row_by_edges(&above_it, here, numbers, &mut parents),
            Connectivity::Eight => label_row_by_corners(&above_it, here, numbers, &mut parents),
        }
        (above, numbers_above) = (here, numbers);
    }
    parents
}

/// The row above the row to be numbered.
struct Above<'a, T> {
    pixels: &'a [T],
    numbers: &'a [u32],
}

fn label_row_by_edges<T: Copy + PartialEq + Default>(
    above: &Above<'_, T>,
    here: &[T],
    numbers: &mut [u32],
    parents: &mut Vec<u32>,
) {
    let background = T::default();
    let (mut left, mut number) = (background, 0);
    let mut across = background;
    let upper = above.pixels.iter().zip(above.numbers);
    for ((&pixel, here), (&up, &number_above)) in here.iter().zip(numbers).zip(upper) {
        if pixel != background {
            number = match (up == pixel, left == pixel) {
                // The two are united already if the pixel between them has the same value.
                (true, true) if across != pixel => joined(parents, number_above, number),
                (true, _) => number_above,
                (false, true) => number,
                (false, false) => another(parents),
            };
            *here = number;
        }
        (left, across) = (pixel, up);
    }
}

fn label_row_by_corners<T: Copy + PartialEq + Default>(
    above: &Above<'_, T>,
    here: &[T],
    numbers: &mut [u32],
    parents: &mut Vec<u32>,
) {
    let background = T::default();
    let mut left = background;
    for column in 0..here.len() {
        let pixel = here[column];
        if pixel != background {
            let is = |column: usize| above.pixels.get(column) == Some(&pixel);
            let before = column.wrapping_sub(1);
            // The pixel above touches all others; the pixel before touches the one above it.
            numbers[column] = if is(column) {
                above.numbers[column]
            } else if is(column + 1) {
                let number = above.numbers[column + 1];
                if is(before) {
                    joined(parents, number, above.numbers[before])
                } else if left == pixel {
                    joined(parents, number, numbers[before])
                } else {
                    number
                }
            } else if left == pixel {
                numbers[before]
            } else if is(before) {
                above.numbers[before]
            } else {
                another(parents)
            };
        }
        left = pixel;
    }
}

/// Unite two parts and return a number of their component.
fn joined(parents: &mut [u32], a: u32, b: u32) -> u32 {
    if a == b {
        return a;
    }
    union(parents, a as usize - 1, b as usize - 1) as u32 + 1
}

/// Add a part, which is its own parent, and return its number.
fn another(parents: &mut Vec<u32>) -> u32 {
    parents.push(parents.len() as u32);
    parents.len() as u32
}
