//! Connected components of a binary image or of a label image, by union-find over runs rather than over pixels.
//!
//! Strips of rows are cut into parts, which are mostly runs. The parts are united within each strip in parallel, then across
//! the seams of strips. The parent of a part comes before it in raster order, so one pass over the parts numbers the
//! components by their first pixels. See He, Chao, Suzuki (2008), A run-based two-scan labeling algorithm, <https://doi.org/10.1109/TIP.2008.919369>.

mod pixels;

use std::ops::Range;

use ndarray::parallel::prelude::*;
use ndarray::{ArrayView2, ArrayViewMut2, Axis, Slice};

use crate::error::{Error, check_shape};
use crate::interrupt;
use crate::runs::{Run, find_runs, row_of, rows_of};

/// The number of rows that one thread takes at a time.
const STRIP: usize = 64;

/// The number of rows that decide whether a strip is dense.
const SAMPLE: usize = 4;

/// The approximate number of pixels per run below which pixels are faster than runs.
const DENSE: usize = 8;

/// The definition of neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connectivity {
    /// Pixels that share an edge.
    Four,
    /// Pixels that share an edge or a corner.
    Eight,
}

/// A strip of rows, cut into parts of components.
struct Strip<T> {
    parts: Parts<T>,
    /// For each part a parent: a part of the same component that is not later. The first part is its own parent.
    parents: Vec<u32>,
    /// The first and the last row.
    ends: [End<T>; 2],
}

/// The parts of a strip.
enum Parts<T> {
    /// Each run is a part; the ranges are the runs of each row.
    Runs(Vec<Run<T>>, Vec<Range<usize>>),
    /// The label image holds the numbers of the parts, from 1.
    Pixels,
}

/// The runs of a row and the part of each.
struct End<T> {
    runs: Vec<Run<T>>,
    parts: Vec<u32>,
}

/// Write to each pixel of `labels` the number of its component, and return the number of components.
///
/// Neighbouring pixels of equal value belong to one component. `labels` must be all 0. Background is not written, so the
/// system need not allocate untouched pages of a new array. Components are numbered 1..N by raster order
/// of their first pixels.
///
/// # Errors
///
/// If the shapes differ or the image has 2^32 pixels or more.
pub fn label<T: Copy + PartialEq + Default + Send + Sync>(
    image: ArrayView2<'_, T>,
    connectivity: Connectivity,
    mut labels: ArrayViewMut2<'_, u32>,
) -> Result<u32, Error> {
    let (rows, columns) = image.dim();
    if u32::try_from(image.len()).is_err() {
        return Err(Error::Data(format!(
            "image: expected at most 2^32 - 1 pixels, got {rows} x {columns}"
        )));
    }
    check_shape("labels", "the image's shape", image.dim(), labels.dim())?;
    if image.is_empty() {
        return Ok(0);
    }
    let image = image.as_standard_layout();
    let strips: Vec<Strip<T>> = image
        .axis_chunks_iter(Axis(0), STRIP)
        .into_par_iter()
        .zip(labels.axis_chunks_iter_mut(Axis(0), STRIP))
        .map(|(rows, labels)| Strip::new(rows, connectivity, labels))
        .collect();
    let (mut numbers, starts) = joined(&strips, connectivity);
    let count = number(&mut numbers);
    labels
        .axis_chunks_iter_mut(Axis(0), STRIP)
        .into_par_iter()
        .zip(&strips)
        .zip(&starts)
        .for_each(|((labels, strip), &start)| strip.paint(&numbers[start..], labels));
    Ok(count)
}

impl<T: Copy + PartialEq + Default> Strip<T> {
    fn new(
        image: ArrayView2<'_, T>,
        connectivity: Connectivity,
        mut labels: ArrayViewMut2<'_, u32>,
    ) -> Self {
        if let Some(labels) = labels.as_slice_mut()
            && is_dense(image)
        {
            return Self::of_pixels(image, connectivity, labels);
        }
        let (mut runs, mut rows) = (Vec::new(), Vec::with_capacity(image.nrows()));
        let mut parents = Vec::new();
        let mut above = 0..0;
        for row in rows_of(image) {
            interrupt::check();
            let start = runs.len();
            find_runs(row, &mut runs);
            let here = start..runs.len();
            parents.extend(here.clone().map(|run| run as u32));
            let first_above = above.start;
            for_each_touch(&runs[above], &runs[here.clone()], connectivity, |i, j| {
                union(&mut parents, first_above + i, start + j);
            });
            above = here.clone();
            rows.push(here);
        }
        let end = |row: &Range<usize>| End {
            runs: runs[row.clone()].to_vec(),
            parts: row.clone().map(|part| part as u32).collect(),
        };
        let ends = [end(&rows[0]), end(&rows[rows.len() - 1])];
        Self {
            parts: Parts::Runs(runs, rows),
            parents,
            ends,
        }
    }

    fn of_pixels(image: ArrayView2<'_, T>, connectivity: Connectivity, labels: &mut [u32]) -> Self {
        let parents = pixels::label(image, connectivity, labels);
        let end = |row: usize| {
            let mut runs = Vec::new();
            find_runs(row_of(image, row), &mut runs);
            let numbers = &labels[row * image.ncols()..];
            let part = |run: &Run<T>| numbers[run.start as usize] - 1;
            let parts = runs.iter().map(part).collect();
            End { runs, parts }
        };
        Self {
            parts: Parts::Pixels,
            parents,
            ends: [end(0), end(image.nrows() - 1)],
        }
    }

    fn paint(&self, numbers: &[u32], mut labels: ArrayViewMut2<'_, u32>) {
        let Parts::Runs(runs, rows) = &self.parts else {
            for label in labels.iter_mut().filter(|label| **label != 0) {
                *label = numbers[*label as usize - 1];
            }
            return;
        };
        for (mut row, place) in labels.rows_mut().into_iter().zip(rows) {
            let numbered = runs[place.clone()].iter().zip(&numbers[place.clone()]);
            if let Some(row) = row.as_slice_mut() {
                numbered.for_each(|(run, &number)| row[run.columns()].fill(number));
                continue;
            }
            for (run, &number) in numbered {
                let pixels = Slice::from(run.columns());
                row.slice_axis_mut(Axis(0), pixels).fill(number);
            }
        }
    }
}

/// Whether the first rows have so many runs that work on pixels is faster.
fn is_dense<T: Copy + PartialEq + Default>(image: ArrayView2<'_, T>) -> bool {
    let mut runs: Vec<Run<T>> = Vec::new();
    for row in rows_of(image).take(SAMPLE) {
        find_runs(row, &mut runs);
    }
    runs.len() * DENSE > image.nrows().min(SAMPLE) * image.ncols()
}

/// Call `touch` with the places of each pair of neighbouring runs of equal value in a row and the row below.
fn for_each_touch<T: Copy + PartialEq>(
    above: &[Run<T>],
    here: &[Run<T>],
    connectivity: Connectivity,
    mut touch: impl FnMut(usize, usize),
) {
    let corner = u32::from(connectivity == Connectivity::Eight);
    let (mut i, mut j) = (0, 0);
    while i < above.len() && j < here.len() {
        let (a, b) = (above[i], here[j]);
        if a.value == b.value && a.start < b.end + corner && b.start < a.end + corner {
            touch(i, j);
        }
        // Past the end of a run, only a run that starts at that end touches it, by a corner.
        if a.end == b.end
            && corner == 1
            && let Some(next) = here.get(j + 1)
            && next.start == a.end
            && next.value == a.value
        {
            touch(i, j + 1);
        }
        if a.end <= b.end {
            i += 1;
        } else {
            j += 1;
        }
    }
}

/// Unite the components of two parts and return the first part. A parent is never later than its part.
pub(crate) fn union(parents: &mut [u32], a: usize, b: usize) -> usize {
    let (a, b) = (root(parents, a), root(parents, b));
    let (first, later) = if a < b { (a, b) } else { (b, a) };
    parents[later] = first as u32;
    first
}

/// The first known part of the same component. The path to it is halved for later calls.
fn root(parents: &mut [u32], mut part: usize) -> usize {
    loop {
        let parent = parents[part] as usize;
        if parent == part {
            return part;
        }
        let grandparent = parents[parent];
        parents[part] = grandparent;
        part = grandparent as usize;
    }
}

/// The parents of all parts, united across the seams of strips, and the number of the first part of each strip.
fn joined<T: Copy + PartialEq + Default>(
    strips: &[Strip<T>],
    connectivity: Connectivity,
) -> (Vec<u32>, Vec<usize>) {
    let mut parents = Vec::with_capacity(strips.iter().map(|strip| strip.parents.len()).sum());
    let mut starts = Vec::with_capacity(strips.len());
    for strip in strips {
        let start = parents.len();
        starts.push(start);
        parents.extend(strip.parents.iter().map(|parent| parent + start as u32));
    }
    for (pair, starts) in strips.windows(2).zip(starts.windows(2)) {
        let ([_, above], [here, _]) = (&pair[0].ends, &pair[1].ends);
        for_each_touch(&above.runs, &here.runs, connectivity, |i, j| {
            let (a, b) = (above.parts[i] as usize, here.parts[j] as usize);
            union(&mut parents, starts[0] + a, starts[1] + b);
        });
    }
    (parents, starts)
}

/// Replace parents by the numbers of components. A parent comes before its part, so its number is known.
fn number(parents: &mut [u32]) -> u32 {
    let mut count = 0;
    for part in 0..parents.len() {
        let parent = parents[part] as usize;
        parents[part] = if parent == part {
            count += 1;
            count
        } else {
            parents[parent]
        };
    }
    count
}
