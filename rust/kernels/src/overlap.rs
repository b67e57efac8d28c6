//! How two label images of the same scene share their pixels: the table behind IoU, average precision, PQ and AJI.

use ndarray::parallel::prelude::*;
use ndarray::{ArrayView2, Axis};
use rayon::slice::ParallelSliceMut;
use rustc_hash::FxHashMap;

/// Rows that are counted together.
const ROWS: usize = 64;

/// One cell of the contingency table: how many pixels have these two labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// Label in the first image.
    pub a: u32,
    /// Label in the second image.
    pub b: u32,
    /// Pixels with both, at least 1.
    pub pixels: u64,
}

/// The images differ in shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected two label images of one shape, got {} x {} and {} x {}", .a.0, .a.1, .b.0, .b.1)]
pub struct ShapeMismatch {
    /// Rows and columns of the first.
    pub a: (usize, usize),
    /// Rows and columns of the second.
    pub b: (usize, usize),
}

type Counts = FxHashMap<(u32, u32), u64>;

/// Count the pixels of every pair of labels that occurs, background included, sorted by (a, b).
///
/// Memory goes with the number of pairs that occur, whatever the labels are.
///
/// # Errors
///
/// [`ShapeMismatch`] where the shapes differ.
pub fn contingency(
    a: ArrayView2<'_, u32>,
    b: ArrayView2<'_, u32>,
) -> Result<Vec<Cell>, ShapeMismatch> {
    if a.dim() != b.dim() {
        return Err(ShapeMismatch {
            a: a.dim(),
            b: b.dim(),
        });
    }
    if a.is_empty() {
        return Ok(Vec::new());
    }
    let counts = a
        .axis_chunks_iter(Axis(0), ROWS)
        .into_par_iter()
        .zip(b.axis_chunks_iter(Axis(0), ROWS))
        .map(|(a, b)| count(a, b))
        .reduce(Counts::default, add);
    let mut cells: Vec<Cell> = counts
        .into_iter()
        .map(|((a, b), pixels)| Cell { a, b, pixels })
        .collect();
    cells.par_sort_unstable();
    Ok(cells)
}

/// Neighbours mostly have equal labels, so that the map is asked once a run rather than once a pixel.
fn count(a: ArrayView2<'_, u32>, b: ArrayView2<'_, u32>) -> Counts {
    let mut counts = Counts::default();
    let (mut pair, mut pixels) = ((0, 0), 0);
    for next in a.iter().copied().zip(b.iter().copied()) {
        if next == pair {
            pixels += 1;
            continue;
        }
        if pixels > 0 {
            *counts.entry(pair).or_default() += pixels;
        }
        (pair, pixels) = (next, 1);
    }
    *counts.entry(pair).or_default() += pixels;
    counts
}

fn add(left: Counts, right: Counts) -> Counts {
    let (mut large, small) = if left.len() < right.len() {
        (right, left)
    } else {
        (left, right)
    };
    for (pair, pixels) in small {
        *large.entry(pair).or_default() += pixels;
    }
    large
}
