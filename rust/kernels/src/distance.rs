//! Exact Euclidean distances to the nearest pixel of another label, by one pass along rows and one along columns.
//!
//! Along a row, a pixel's distance to the nearest other label is that to the end of its run. Along a column, each row of a
//! stretch of one label offers its row's distance and its own away from the pixel, and so do the pixels of other labels
//! that end the stretch, which hide all beyond them: the least of the offers is the lower envelope of parabolas. See
//! Meijster, Roerdink, Hesselink (2000), A general algorithm for computing distance transforms in linear time,
//! <https://doi.org/10.1007/0-306-47025-X_36>. Squared distances are exact: integers, which double precision holds.

use std::ops::Range;

use ndarray::parallel::prelude::*;
use ndarray::{ArrayView2, ArrayViewMut2, Axis, Zip};
use thiserror::Error;

use crate::interrupt;
use crate::runs::{Run, find_runs};

/// Rows or columns up to which distances along rows are exact in single precision, and squares in double.
const LONGEST: usize = 1 << 24;

/// Columns that one thread takes at a time: a line of the cache.
const BLOCK: usize = 16;

/// Why distances could not be found.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DistanceError {
    /// Distances would not be exact.
    #[error("image: expected at most 2^24 pixels a side, got {rows} x {columns}")]
    Size {
        /// Height given.
        rows: usize,
        /// Width given.
        columns: usize,
    },
    /// There is not one place for each pixel's distance.
    #[error("distances: expected the image's shape {image:?}, got {distances:?}")]
    Shape {
        /// Rows and columns of the image.
        image: (usize, usize),
        /// Rows and columns of the array for distances.
        distances: (usize, usize),
    },
}

/// Write each pixel's distance to the nearest pixel of another value; 0 for background, infinity where there is no other.
///
/// # Errors
///
/// [`DistanceError`] where the shapes differ or the image has more than 2^24 rows or columns.
pub fn distance<T: Copy + PartialEq + Default + Send + Sync>(
    image: ArrayView2<'_, T>,
    mut distances: ArrayViewMut2<'_, f32>,
) -> Result<(), DistanceError> {
    let (rows, columns) = image.dim();
    if rows.max(columns) > LONGEST {
        return Err(DistanceError::Size { rows, columns });
    }
    if image.dim() != distances.dim() {
        return Err(DistanceError::Shape {
            image: image.dim(),
            distances: distances.dim(),
        });
    }
    if image.is_empty() {
        return Ok(());
    }
    let image = image.as_standard_layout();
    along_rows(image.view(), distances.view_mut());
    distances
        .axis_chunks_iter_mut(Axis(1), BLOCK)
        .into_par_iter()
        .for_each_init(Columns::default, |columns, block| columns.finish(block));
    Ok(())
}

/// Write each pixel's distance to the nearest other label in its row; negative where the pixel above is of another label,
/// so that the pass along columns knows where stretches of one label start without reading the image again.
fn along_rows<T: Copy + PartialEq + Default + Send + Sync>(
    image: ArrayView2<'_, T>,
    mut distances: ArrayViewMut2<'_, f32>,
) {
    distances
        .axis_iter_mut(Axis(0))
        .into_par_iter()
        .enumerate()
        .for_each_init(Vec::new, |runs, (row, mut distances)| {
            interrupt::check();
            distances.fill(0.0);
            runs.clear();
            let pixels = image.row(row);
            find_runs(pixels.to_slice().expect("a row lies in one piece"), runs);
            for run in runs {
                let columns = run.columns();
                let mut distances = distances.slice_axis_mut(Axis(0), columns.clone().into());
                for (place, distance) in distances.iter_mut().enumerate() {
                    *distance = to_end(run, place, image.ncols());
                }
                if row > 0 {
                    let above = image.row(row - 1);
                    Zip::from(distances)
                        .and(above.slice_axis(Axis(0), columns.into()))
                        .for_each(|distance, above| {
                            if *above != run.value {
                                *distance = -*distance;
                            }
                        });
                }
            }
        });
}

/// Distance from the pixel at a place of a run to the nearest of those beside the run.
fn to_end<T>(run: &Run<T>, place: usize, width: usize) -> f32 {
    let columns = run.columns();
    let left = if columns.start > 0 {
        (place + 1) as f32
    } else {
        f32::INFINITY
    };
    let right = if columns.end < width {
        (columns.len() - place) as f32
    } else {
        f32::INFINITY
    };
    left.min(right)
}

/// What a row offers to a stretch of a column: `height` plus the square of how far from `row` it is, and nobody less from
/// row `from` on.
#[derive(Debug, Clone, Copy)]
struct Parabola {
    row: f64,
    height: f64,
    from: f64,
}

impl Parabola {
    fn at(&self, row: f64) -> f64 {
        (row - self.row) * (row - self.row) + self.height
    }
}

/// Room for a block of columns, each in one piece.
#[derive(Default)]
struct Columns {
    values: Vec<f32>,
    envelope: Vec<Parabola>,
}

impl Columns {
    /// Turn distances along rows into distances.
    fn finish(&mut self, mut block: ArrayViewMut2<'_, f32>) {
        let rows = block.nrows();
        // Columns a power of two apart would compete for the same lines of the cache.
        let stride = rows + BLOCK;
        self.values.resize(stride * BLOCK, 0.0);
        for (row, pixels) in block.rows().into_iter().enumerate() {
            for (column, &value) in pixels.iter().enumerate() {
                self.values[column * stride + row] = value;
            }
        }
        for column in 0..block.ncols() {
            interrupt::check();
            let values = &mut self.values[column * stride..][..rows];
            finish_column(values, &mut self.envelope);
        }
        for (row, mut pixels) in block.rows_mut().into_iter().enumerate() {
            for (column, value) in pixels.iter_mut().enumerate() {
                *value = self.values[column * stride + row];
            }
        }
    }
}

fn finish_column(values: &mut [f32], envelope: &mut Vec<Parabola>) {
    let mut row = 0;
    while row < values.len() {
        let start = row;
        row += 1;
        if values[start] == 0.0 {
            continue;
        }
        while row < values.len() && values[row] > 0.0 {
            row += 1;
        }
        finish_stretch(values, start..row, envelope);
    }
}

/// Find the distances of a stretch of one label, which other labels or the image's border end.
fn finish_stretch(values: &mut [f32], rows: Range<usize>, envelope: &mut Vec<Parabola>) {
    // A border of the image offers nothing. Else nobody is nearer than a neighbour: all of thin shapes is known already.
    let is_ended = rows.start > 0 || rows.end < values.len();
    let stretch = &mut values[rows.clone()];
    stretch[0] = stretch[0].abs();
    if is_ended && stretch.len() == 1 {
        stretch[0] = 1.0;
        return;
    }
    if stretch.iter().all(|&distance| distance == 1.0) {
        return;
    }
    let (start, end) = (rows.start as f64, rows.end as f64);
    envelope.clear();
    if rows.start > 0 {
        offer(envelope, start - 1.0, 0.0, start..end);
    }
    for row in rows.clone() {
        let distance = f64::from(values[row]);
        if distance.is_finite() {
            offer(envelope, row as f64, distance * distance, start..end);
        }
    }
    if rows.end < values.len() {
        offer(envelope, end, 0.0, start..end);
    }
    if envelope.is_empty() {
        values[rows].fill(f32::INFINITY);
        return;
    }
    let mut next = rows.end;
    for parabola in envelope.iter().rev() {
        let from = parabola.from as usize;
        for (row, value) in (from..next).zip(&mut values[from..next]) {
            *value = parabola.at(row as f64).sqrt() as f32;
        }
        next = from;
    }
}

/// Add a parabola of a later row than all before to a lower envelope.
fn offer(envelope: &mut Vec<Parabola>, row: f64, height: f64, rows: Range<f64>) {
    let mut new = Parabola {
        row,
        height,
        from: rows.start,
    };
    while let Some(last) = envelope.last() {
        if last.at(last.from) <= new.at(last.from) {
            // Up to here, where the two are equal, `last` stays the lower. It was at its start, so this is not negative.
            let rise = row * row - last.row * last.row + height - last.height;
            let equal = rise / (2.0 * (row - last.row));
            new.from = (equal as u64 + 1) as f64;
            break;
        }
        envelope.pop();
    }
    if new.from < rows.end {
        envelope.push(new);
    }
}
