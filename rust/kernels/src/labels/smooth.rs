//! A majority filter that smooths the outlines of nuclei: each pixel gets the most frequent label around it.

use ndarray::parallel::prelude::*;
use ndarray::{ArrayView2, ArrayViewMut2, Axis, Slice};

use crate::error::{Error, check_shape};
use crate::interrupt;

/// The largest radius of the window, in pixels.
pub const MAX_RADIUS: usize = 64;

/// Write to each pixel the most frequent label, background included, among the pixels of the image at most `radius` rows and
/// columns away. Of equally frequent labels, the pixel keeps its own if that is one of them, else it gets the smallest.
///
/// A pixel only gets labels of its window, so nuclei that are more than `radius` pixels apart stay apart. A small nucleus may
/// vanish, and a thin one may be cut.
///
/// # Errors
///
/// If the radius is beyond [`MAX_RADIUS`] or the shapes differ.
pub fn smooth_labels(
    labels: ArrayView2<'_, u32>,
    mut smoothed: ArrayViewMut2<'_, u32>,
    radius: usize,
) -> Result<(), Error> {
    if radius > MAX_RADIUS {
        let message = format!("radius: expected 0 to {MAX_RADIUS} pixels, got {radius}");
        return Err(Error::Setting(message));
    }
    check_shape(
        "smoothed",
        "the shape of the labels",
        labels.dim(),
        smoothed.dim(),
    )?;
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

/// The number of pixels of the window with each label. A window has few labels.
#[derive(Default)]
struct Window {
    counts: Vec<(u32, u32)>,
}

impl Window {
    /// Count the window around the first column.
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
