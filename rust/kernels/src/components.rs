//! Connected components of a binary image or of a label image, by union-find over runs rather than over pixels.
//!
//! Strips of rows are cut into runs and joined within themselves in parallel, then over the seams between them. A run's
//! parent always comes before it in raster order, so that one pass over the runs numbers the components by their first
//! pixels. See He, Chao, Suzuki (2008), A run-based two-scan labeling algorithm, <https://doi.org/10.1109/TIP.2008.919369>.

use std::ops::Range;

use ndarray::parallel::prelude::*;
use ndarray::{ArrayView2, ArrayViewMut2, Axis, Slice};
use thiserror::Error;

use crate::interrupt;
use crate::runs::{Run, find_runs};

/// Rows that one thread takes at a time.
const STRIP: usize = 64;

/// Which pixels are neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connectivity {
    /// Those that share an edge.
    Four,
    /// Those that share an edge or a corner.
    Eight,
}

/// Why components could not be labelled.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LabelError {
    /// More pixels than there are numbers for components.
    #[error("image: expected at most 2^32 - 1 pixels, got {rows} x {columns}")]
    Size {
        /// Height given.
        rows: usize,
        /// Width given.
        columns: usize,
    },
    /// There is not one place in the label image for each pixel.
    #[error("labels: expected the image's shape {image:?}, got {labels:?}")]
    Shape {
        /// Rows and columns of the image.
        image: (usize, usize),
        /// Rows and columns of the label image.
        labels: (usize, usize),
    },
}

/// The runs of some rows.
struct Strip<T> {
    runs: Vec<Run<T>>,
    /// Where each row's runs are.
    rows: Vec<Range<usize>>,
    /// For each run one of its component that is not later; a run that is its own parent is the first of its component.
    parents: Vec<u32>,
}

/// Write the number of its component to each pixel of `labels` that is not background, and return how many there are.
///
/// Neighbouring pixels of one value are of one component. `labels` must be all 0; background is not written, so that
/// memory that the system gives out as zeros on first use stays unused there. Components are numbered 1..N by raster order
/// of their first pixels.
///
/// # Errors
///
/// [`LabelError`] where the shapes differ or the image has 2^32 pixels or more.
pub fn label<T: Copy + PartialEq + Default + Send + Sync>(
    image: ArrayView2<'_, T>,
    connectivity: Connectivity,
    mut labels: ArrayViewMut2<'_, u32>,
) -> Result<u32, LabelError> {
    let (rows, columns) = image.dim();
    if u32::try_from(image.len()).is_err() {
        return Err(LabelError::Size { rows, columns });
    }
    if image.dim() != labels.dim() {
        return Err(LabelError::Shape {
            image: image.dim(),
            labels: labels.dim(),
        });
    }
    if image.is_empty() {
        return Ok(0);
    }
    let image = image.as_standard_layout();
    let strips: Vec<Strip<T>> = image
        .axis_chunks_iter(Axis(0), STRIP)
        .into_par_iter()
        .map(|rows| Strip::new(rows, connectivity))
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
    fn new(image: ArrayView2<'_, T>, connectivity: Connectivity) -> Self {
        let mut strip = Self {
            runs: Vec::new(),
            rows: Vec::with_capacity(image.nrows()),
            parents: Vec::new(),
        };
        let mut above = 0..0;
        for row in image.rows() {
            interrupt::check();
            let start = strip.runs.len();
            find_runs(
                row.to_slice().expect("a row lies in one piece"),
                &mut strip.runs,
            );
            let here = start..strip.runs.len();
            strip.parents.extend(here.clone().map(|run| run as u32));
            join(
                (
                    &strip.runs[above],
                    strip.rows.last().map_or(0, |row| row.start),
                ),
                (&strip.runs[here.clone()], start),
                connectivity,
                &mut strip.parents,
            );
            above = here.clone();
            strip.rows.push(here);
        }
        strip
    }

    fn first_row(&self) -> Range<usize> {
        self.rows[0].clone()
    }

    fn last_row(&self) -> Range<usize> {
        self.rows[self.rows.len() - 1].clone()
    }

    fn paint(&self, numbers: &[u32], mut labels: ArrayViewMut2<'_, u32>) {
        for (mut row, runs) in labels.rows_mut().into_iter().zip(&self.rows) {
            let numbered = self.runs[runs.clone()].iter().zip(&numbers[runs.clone()]);
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

/// Join the runs of a row with those of one value that they touch in the row above. Of each row: its runs, and the number
/// of the first.
fn join<T: Copy + PartialEq>(
    (above, first_above): (&[Run<T>], usize),
    (here, first_here): (&[Run<T>], usize),
    connectivity: Connectivity,
    parents: &mut [u32],
) {
    let reach = u32::from(connectivity == Connectivity::Eight);
    let (mut i, mut j) = (0, 0);
    while i < above.len() && j < here.len() {
        let (a, b) = (above[i], here[j]);
        if a.value == b.value && a.start < b.end + reach && b.start < a.end + reach {
            union(parents, first_above + i, first_here + j);
        }
        // Only a run that starts where the other row's ends can touch it past that end, by a corner.
        if a.end == b.end
            && reach == 1
            && let Some(next) = here.get(j + 1)
            && next.start == a.end
            && next.value == a.value
        {
            union(parents, first_above + i, first_here + j + 1);
        }
        if a.end <= b.end {
            i += 1;
        } else {
            j += 1;
        }
    }
}

/// Make the runs of both numbers one component; a parent is never later than its run.
pub(crate) fn union(parents: &mut [u32], a: usize, b: usize) {
    let (a, b) = (root(parents, a), root(parents, b));
    let (first, later) = if a < b { (a, b) } else { (b, a) };
    parents[later] = first as u32;
}

/// The first run that is known to be of the same component; the way there is halved for the next who asks.
fn root(parents: &mut [u32], mut run: usize) -> usize {
    loop {
        let parent = parents[run] as usize;
        if parent == run {
            return run;
        }
        let grandparent = parents[parent];
        parents[run] = grandparent;
        run = grandparent as usize;
    }
}

/// The parents of all runs, joined over the seams between strips, and the number of each strip's first run.
fn joined<T: Copy + PartialEq + Default>(
    strips: &[Strip<T>],
    connectivity: Connectivity,
) -> (Vec<u32>, Vec<usize>) {
    let mut parents = Vec::with_capacity(strips.iter().map(|strip| strip.runs.len()).sum());
    let mut starts = Vec::with_capacity(strips.len());
    for strip in strips {
        let start = parents.len();
        starts.push(start);
        parents.extend(strip.parents.iter().map(|parent| parent + start as u32));
    }
    for (pair, starts) in strips.windows(2).zip(starts.windows(2)) {
        let (above, here) = (pair[0].last_row(), pair[1].first_row());
        join(
            (&pair[0].runs[above.clone()], starts[0] + above.start),
            (&pair[1].runs[here.clone()], starts[1] + here.start),
            connectivity,
            &mut parents,
        );
    }
    (parents, starts)
}

/// Put the numbers of components in place of parents. A parent comes first, so that its number is known by then.
fn number(parents: &mut [u32]) -> u32 {
    let mut count = 0;
    for run in 0..parents.len() {
        let parent = parents[run] as usize;
        parents[run] = if parent == run {
            count += 1;
            count
        } else {
            parents[parent]
        };
    }
    count
}
