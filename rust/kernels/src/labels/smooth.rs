//! Outlines of nuclei smoothed by a vote: each pixel goes to the label that most pixels around it have.

use ndarray::parallel::prelude::*;
use ndarray::{ArrayView2, ArrayViewMut2, Axis, Slice};
use thiserror::Error;

use crate::interrupt;

/// Largest window, in pixels to each side.
pub const MAX_RADIUS: usize = 64;

/// Why labels could not be smoothed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SmoothError {
    /// The window is larger than what it is for.
    #[error("radius: expected 0 to {MAX_RADIUS} pixels, got {0}")]
    Radius(usize),
    /// There is not one place in the result for each pixel.
    #[error("smoothed: expected the shape of the labels {labels:?}, got {smoothed:?}")]
    Shape {
        /// Rows and columns of the labels.
        labels: (usize, usize),
        /// Rows and columns of the result.
        smoothed: (usize, usize),
    },
}

/// Write to each pixel the label, background being one, that most pixels have which are at most `radius` rows and columns
/// away and in the image. Of several that as many have, the pixel's own is taken, else the smallest.
///
/// No pixel gets a label that no pixel near it has, so nuclei apart by more than `radius` pixels stay apart; a small nucleus
/// may vanish, and a thin one be cut.
///
/// # Errors
///
/// [`SmoothError`] where the radius is beyond [`MAX_RADIUS`] or the shapes differ.
pub fn smooth_labels(
    labels: ArrayView2<'_, u32>,
    mut smoothed: ArrayViewMut2<'_, u32>,
    radius: usize,
) -> Result<(), SmoothError> {
    if radius > MAX_RADIUS {
        return Err(SmoothError::Radius(radius));
    }
    if labels.dim() != smoothed.dim() {
        return Err(SmoothError::Shape {
            labels: labels.dim(),
            smoothed: smoothed.dim(),
        });
    }
    if labels.is_empty() {
        return Ok(());
    }
    smoothed
        .axis_iter_mut(Axis(0))
        .into_par_iter()
        .enumerate()
        .for_each_init(Window::default, |window, (row, mut line)| {
            interrupt::check();
            let rows = row.saturating_sub(radius)..(row + radius + 1).min(labels.nrows());
            let near = labels.slice_axis(Axis(0), Slice::from(rows));
            window.start(near, radius);
            for (column, pixel) in line.iter_mut().enumerate() {
                *pixel = window.winner(labels[[row, column]]);
                window.step(near, radius, column);
            }
        });
    Ok(())
}

/// How many pixels of the window have each label; few labels are ever in it.
#[derive(Default)]
struct Window {
    counts: Vec<(u32, u32)>,
}

impl Window {
    /// Stand at the first column.
    fn start(&mut self, near: ArrayView2<'_, u32>, radius: usize) {
        self.counts.clear();
        for column in 0..(radius + 1).min(near.ncols()) {
            self.enter(near, column);
        }
    }

    /// Go from one column to the next.
    fn step(&mut self, near: ArrayView2<'_, u32>, radius: usize, column: usize) {
        let (entering, leaving) = (column + radius + 1, column.checked_sub(radius));
        let same = leaving.is_some_and(|leaving| {
            entering < near.ncols() && near.column(leaving) == near.column(entering)
        });
        if same {
            return;
        }
        if entering < near.ncols() {
            self.enter(near, entering);
        }
        if let Some(leaving) = leaving {
            for label in near.column(leaving) {
                if let Some(place) = self.counts.iter().position(|count| count.0 == *label) {
                    self.counts[place].1 -= 1;
                    if self.counts[place].1 == 0 {
                        self.counts.swap_remove(place);
                    }
                }
            }
        }
    }

    fn enter(&mut self, near: ArrayView2<'_, u32>, column: usize) {
        for &label in near.column(column) {
            match self.counts.iter_mut().find(|count| count.0 == label) {
                Some(count) => count.1 += 1,
                None => self.counts.push((label, 1)),
            }
        }
    }

    fn winner(&self, own: u32) -> u32 {
        let rank = |&(label, pixels): &(u32, u32)| (pixels, label == own, u32::MAX - label);
        let most = self.counts.iter().copied().max_by_key(rank);
        most.map_or(own, |(label, _)| label)
    }
}
