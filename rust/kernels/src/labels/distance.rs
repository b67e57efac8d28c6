//! Exact Euclidean distances to the nearest pixel of another label, by one pass along columns and one along rows.
//!
//! The first pass finds the distance from each pixel to the end of its stretch within its column. In the second pass, each
//! pixel of a run offers the square of this distance plus the squared distance along the row, and so do the two pixels
//! that end the run. Pixels beyond an end are further away than the end itself, so offers need no owner.
//!
//! Near distances, as in a nucleus, are found by a comparison of all offers so near, many pixels at a time. Elsewhere the
//! least offer is the lower envelope of parabolas: see Meijster, Roerdink, Hesselink (2000), A general algorithm for computing
//! distance transforms in linear time, <https://doi.org/10.1007/0-306-47025-X_36>. Squared distances are exact integers:
//! single precision holds the near ones, double precision all. `expand` has a similar envelope in integers.

use std::ops::Range;

use ndarray::parallel::prelude::*;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};

use crate::error::{Error, check_shape};
use crate::interrupt;
use crate::runs::{Run, find_runs, row_of};

/// Why rows of the distances, which are in standard layout, are slices.
const ONE_PIECE: &str = "a row lies in one piece";

/// The longest side for which distances along columns are exact in single precision and squares in double precision.
const LONGEST: usize = 1 << 24;

/// The number of columns that one thread takes at a time: few cache lines in each row.
const BLOCK: usize = 64;

/// Up to this distance, all offers are compared.
const NEAR: usize = 64;
const NEAR_SQUARED: f32 = (NEAR * NEAR) as f32;

/// The number of pixels of a row that are compared at once.
const CHUNK: usize = 32;

/// Write the distance of each pixel to the nearest pixel of another value: 0 for background, infinity if there is no other.
///
/// # Errors
///
/// If the shapes differ or the image has more than 2^24 rows or columns.
pub fn distance<T: Copy + PartialEq + Default + Send + Sync>(
    image: ArrayView2<'_, T>,
    mut distances: ArrayViewMut2<'_, f32>,
) -> Result<(), Error> {
    let (rows, columns) = image.dim();
    if rows.max(columns) > LONGEST {
        return Err(Error::Data(format!(
            "image: expected at most 2^24 pixels a side, got {rows} x {columns}"
        )));
    }
    check_shape(
        "distances",
        "the image's shape",
        image.dim(),
        distances.dim(),
    )?;
    if image.is_empty() {
        return Ok(());
    }
    let image = image.as_standard_layout();
    if !distances.is_standard_layout() {
        let mut in_rows = Array2::zeros(image.dim());
        distance(image.view(), in_rows.view_mut())?;
        distances.assign(&in_rows);
        return Ok(());
    }
    along_columns(image.view(), distances.view_mut());
    distances
        .axis_iter_mut(Axis(0))
        .into_par_iter()
        .enumerate()
        .for_each_init(
            || Rows::new(columns),
            |rows, (row, mut distances)| {
                interrupt::check();
                let distances = distances.as_slice_mut().expect(ONE_PIECE);
                rows.finish(row_of(image.view(), row), distances);
            },
        );
    Ok(())
}

/// Write the distance of each pixel to the nearest other label in its column.
fn along_columns<T: Copy + PartialEq + Default + Send + Sync>(
    image: ArrayView2<'_, T>,
    mut distances: ArrayViewMut2<'_, f32>,
) {
    distances
        .axis_chunks_iter_mut(Axis(1), BLOCK)
        .into_par_iter()
        .zip(image.axis_chunks_iter(Axis(1), BLOCK))
        .for_each_init(Vec::new, |upward, (mut distances, image)| {
            interrupt::check();
            let (rows, columns) = image.dim();
            let row = |row: usize| row_of(image, row);
            upward.resize(rows * columns, 0.0);
            // The borders of the image offer no distance.
            let mut lengths = [f32::INFINITY; BLOCK];
            for (number, upward) in upward.chunks_exact_mut(columns).enumerate() {
                lengthen(&mut lengths, row(number), row(number.saturating_sub(1)));
                upward.copy_from_slice(&lengths[..columns]);
            }
            lengths.fill(f32::INFINITY);
            for (number, upward) in upward.chunks_exact(columns).enumerate().rev() {
                lengthen(&mut lengths, row(number), row((number + 1).min(rows - 1)));
                let mut distances = distances.row_mut(number);
                let distances = distances.as_slice_mut().expect(ONE_PIECE);
                for ((distance, &up), &down) in distances.iter_mut().zip(upward).zip(&lengths) {
                    *distance = lesser(up, down);
                }
            }
        });
}

/// Go to the next row: where the label is that of the row before, the stretch of the column is one pixel longer.
fn lengthen<T: Copy + PartialEq + Default>(lengths: &mut [f32; BLOCK], row: &[T], before: &[T]) {
    let background = T::default();
    for ((length, &pixel), &before) in lengths.iter_mut().zip(row).zip(before) {
        let longer = if pixel == before { *length + 1.0 } else { 1.0 };
        *length = if pixel == background { 0.0 } else { longer };
    }
}

/// The lesser of two numbers. `f32::min` also handles not-a-number, which takes twice as long.
fn lesser(one: f32, other: f32) -> f32 {
    if one < other { one } else { other }
}

/// The buffers of one thread for a row.
struct Rows<T> {
    runs: Vec<Run<T>>,
    /// The squared distances along columns, padded by infinity on both sides.
    offers: Vec<f32>,
    envelope: Vec<Parabola>,
}

impl<T: Copy + PartialEq + Default> Rows<T> {
    fn new(columns: usize) -> Self {
        Self {
            runs: Vec::new(),
            offers: vec![f32::INFINITY; NEAR + columns.next_multiple_of(CHUNK) + NEAR],
            envelope: Vec::new(),
        }
    }

    /// Turn distances along columns into distances.
    fn finish(&mut self, pixels: &[T], distances: &mut [f32]) {
        self.runs.clear();
        find_runs(pixels, &mut self.runs);
        if self.runs.is_empty() {
            return;
        }
        for (offer, &distance) in self.offers[NEAR..].iter_mut().zip(&*distances) {
            *offer = distance * distance;
        }
        // Runs with a pixel that may be far from all other labels stay for the second method.
        self.runs.retain(|run| {
            let columns = run.columns();
            let mut furthest = 0.0;
            for (place, distance) in distances[columns.clone()].iter_mut().enumerate() {
                *distance = lesser(*distance, to_end(&columns, place, pixels.len()));
                if *distance > furthest {
                    furthest = *distance;
                }
            }
            furthest > NEAR as f32
        });
        for (chunk, distances) in distances.chunks_mut(CHUNK).enumerate() {
            ask_near(distances, &self.offers[chunk * CHUNK..]);
        }
        for run in &self.runs {
            let offers = &self.offers[NEAR..][..pixels.len()];
            finish_far(distances, offers, run.columns(), &mut self.envelope);
        }
    }
}

/// The distance from the pixel at a place of a run to the nearest pixel beside the run.
fn to_end(run: &Range<usize>, place: usize, width: usize) -> f32 {
    let left = if run.start > 0 {
        (place + 1) as f32
    } else {
        f32::INFINITY
    };
    let right = if run.end < width {
        (run.len() - place) as f32
    } else {
        f32::INFINITY
    };
    lesser(left, right)
}

/// Find the distances of pixels of a row that are at most [`NEAR`] from another label. `offers` begin [`NEAR`] places before
/// the pixels.
fn ask_near(distances: &mut [f32], offers: &[f32]) {
    let mut squares = [0.0; CHUNK];
    let mut most = 0.0;
    for (square, &distance) in squares.iter_mut().zip(&*distances) {
        *square = distance * distance;
        if *square <= NEAR_SQUARED && *square > most {
            most = *square;
        }
    }
    for step in 1..NEAR {
        let away = (step * step) as f32;
        if away >= most {
            break;
        }
        let [left, right] = [NEAR - step, NEAR + step].map(|first| {
            let chunk = offers[first..].first_chunk::<CHUNK>();
            chunk.expect("there is room on either side")
        });
        for (square, (&left, &right)) in squares.iter_mut().zip(left.iter().zip(right)) {
            *square = lesser(*square, lesser(left, right) + away);
        }
    }
    for (distance, square) in distances.iter_mut().zip(squares) {
        *distance = square.sqrt();
    }
}

/// The offer of a pixel to its run: `height` plus the squared distance to `column`. It is the least offer from column `from`
/// on.
#[derive(Debug, Clone, Copy)]
struct Parabola {
    column: f64,
    height: f64,
    from: f64,
}

impl Parabola {
    fn at(&self, column: f64) -> f64 {
        (column - self.column) * (column - self.column) + self.height
    }
}

/// Find the distances of a run, which ends at other labels or at the border of the image, from the offers of its pixels.
fn finish_far(
    distances: &mut [f32],
    offers: &[f32],
    run: Range<usize>,
    envelope: &mut Vec<Parabola>,
) {
    let (start, end) = (run.start as f64, run.end as f64);
    envelope.clear();
    if run.start > 0 {
        offer(envelope, start - 1.0, 0.0, start..end);
    }
    for (column, square) in run.clone().zip(&offers[run.clone()]) {
        if square.is_finite() {
            // The square may be rounded; its root is exact.
            let distance = f64::from(square.sqrt());
            offer(envelope, column as f64, distance * distance, start..end);
        }
    }
    if run.end < distances.len() {
        offer(envelope, end, 0.0, start..end);
    }
    if envelope.is_empty() {
        distances[run].fill(f32::INFINITY);
        return;
    }
    let mut next = run.end;
    for parabola in envelope.iter().rev() {
        let from = parabola.from as usize;
        for (column, distance) in (from..next).zip(&mut distances[from..next]) {
            *distance = parabola.at(column as f64).sqrt() as f32;
        }
        next = from;
    }
}

/// Add a parabola, of a later column than all before, to a lower envelope.
fn offer(envelope: &mut Vec<Parabola>, column: f64, height: f64, columns: Range<f64>) {
    let mut new = Parabola {
        column,
        height,
        from: columns.start,
    };
    while let Some(last) = envelope.last() {
        if last.at(last.from) <= new.at(last.from) {
            // Up to the column where both are equal, `last` is the lower one. It is lower at its start, so this is not negative.
            let rise = column * column - last.column * last.column + height - last.height;
            let equal = rise / (2.0 * (column - last.column));
            new.from = (equal as u64 + 1) as f64;
            break;
        }
        envelope.pop();
    }
    if new.from < columns.end {
        envelope.push(new);
    }
}
