//! The filling of holes of all nuclei at once.
//!
//! A pixel is in a hole of a nucleus if no path of 4-connected pixels outside the nucleus leads from it out of the image.
//! `scipy.ndimage.binary_fill_holes` fills the same pixels if it gets one nucleus alone. Such a pixel lies within an outer
//! outline of an 8-connected piece of the nucleus. So all outlines are walked once. The outlines of nuclei with a hole are
//! walked again, and rows are filled between their crossings. The cost depends on the image and the outlines, not on the
//! number of labels.

use std::collections::BTreeSet;

use ndarray::{ArrayView2, ArrayViewMut2, Axis, Slice};
use rustc_hash::FxHashSet;

use crate::interrupt;

/// Directions of a walk that keeps the nucleus on its right-hand side: along the top, right, bottom and left edge of a
/// pixel. A right turn leads to the next direction.
const STEPS: [[isize; 2]; 4] = [[0, 1], [1, 0], [0, -1], [-1, 0]];

/// The direction up along the left edge of a pixel, where a row enters the nucleus.
const UP: usize = 3;

/// The direction down along the right edge of a pixel, where a row leaves the nucleus.
const DOWN: usize = 1;

/// The outer outline of an 8-connected piece. Of two outlines around the same pixel, the smaller is further inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Outline {
    /// The number of enclosed pixels, holes and their contents included.
    area: u64,
    label: u32,
    /// The pixel with whose left edge the outline starts.
    start: [usize; 2],
}

/// The place where a row crosses an outline: the left edge of the pixel at this row and column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Crossing {
    row: usize,
    column: usize,
    outline: Outline,
    enters: bool,
}

/// Write the labels to `filled`; a background pixel in a hole gets the label of the nucleus around the hole.
///
/// Pixels of other nuclei stay. A background pixel in holes of several nuclei goes to the nucleus whose piece around the
/// pixel encloses the fewest pixels; of equal pieces, the smaller label wins.
pub fn fill_holes(labels: ArrayView2<'_, u32>, mut filled: ArrayViewMut2<'_, u32>) {
    filled.assign(&labels);
    let mut crossings = Vec::new();
    for outline in outlines_of_nuclei_with_holes(labels) {
        walk(labels, outline.start, |row, column, enters| {
            crossings.push(Crossing {
                row,
                column,
                outline,
                enters,
            });
        });
    }
    crossings.sort_unstable();
    for row in crossings.chunk_by(|one, other| one.row == other.row) {
        fill_row(row, &mut filled);
    }
}

fn fill_row(crossings: &[Crossing], filled: &mut ArrayViewMut2<'_, u32>) {
    interrupt::check();
    let mut around = BTreeSet::new();
    for pair in crossings.windows(2) {
        let [from, to] = [pair[0], pair[1]];
        if from.enters {
            around.insert(from.outline);
        } else {
            around.remove(&from.outline);
        }
        let Some(innermost) = around.first() else {
            continue;
        };
        let mut row = filled.row_mut(from.row);
        for pixel in row.slice_axis_mut(Axis(0), Slice::from(from.column..to.column)) {
            if *pixel == 0 {
                *pixel = innermost.label;
            }
        }
    }
}

/// The outer outlines of all pieces of nuclei with a hole, in raster order of their first pixels.
fn outlines_of_nuclei_with_holes(labels: ArrayView2<'_, u32>) -> Vec<Outline> {
    let columns = labels.ncols();
    let mut walked = vec![false; labels.len()];
    let mut outlines = Vec::new();
    let mut with_holes = FxHashSet::default();
    for (row, line) in labels.rows().into_iter().enumerate() {
        interrupt::check();
        let mut before = 0;
        for (column, &label) in line.iter().enumerate() {
            let is_left_edge = label != before;
            before = label;
            if label == 0 || !is_left_edge || walked[row * columns + column] {
                continue;
            }
            let mut area = 0;
            let start = [row, column];
            walk(labels, start, |row, column, enters| {
                if enters {
                    walked[row * columns + column] = true;
                    area -= column as i64;
                } else {
                    area += column as i64;
                }
            });
            // The walk around a hole goes the other way, so its area is negative.
            match u64::try_from(area) {
                Ok(area) => outlines.push(Outline { area, label, start }),
                Err(_) => {
                    with_holes.insert(label);
                }
            }
        }
    }
    outlines.retain(|outline| with_holes.contains(&outline.label));
    outlines
}

/// Walk along the edges of a nucleus, from the left edge of a pixel back to that edge, with the nucleus on the right-hand
/// side. Call `cross` with the row and column of each vertical edge, and with whether a row enters the nucleus there. Pixels
/// across a corner are connected, so the walk turns left at such a corner.
fn walk(labels: ArrayView2<'_, u32>, start: [usize; 2], mut cross: impl FnMut(usize, usize, bool)) {
    let label = labels[start];
    let step = |[row, column]: [usize; 2], step: [isize; 2]| {
        let pixel = [
            row.checked_add_signed(step[0])?,
            column.checked_add_signed(step[1])?,
        ];
        (labels.get(pixel) == Some(&label)).then_some(pixel)
    };
    let (mut pixel, mut direction) = (start, UP);
    loop {
        match direction {
            UP => cross(pixel[0], pixel[1], true),
            DOWN => cross(pixel[0], pixel[1] + 1, false),
            _ => {}
        }
        let left = (direction + 3) % 4;
        let [ahead, beside] = [STEPS[direction], STEPS[left]];
        if let Some(across) = step(pixel, [ahead[0] + beside[0], ahead[1] + beside[1]]) {
            (pixel, direction) = (across, left);
        } else if let Some(next) = step(pixel, ahead) {
            pixel = next;
        } else {
            direction = (direction + 1) % 4;
        }
        if (pixel, direction) == (start, UP) {
            return;
        }
    }
}
