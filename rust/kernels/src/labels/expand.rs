//! The growth of nuclei by a distance: each background pixel takes the label of the nearest nucleus.
//!
//! The algorithm is exact and separable (Meijster, Roerdink and Hesselink, "A general algorithm for computing distance transforms in
//! linear time", 2000). The first pass finds the nearest labelled pixel within each column. The second pass finds along each
//! row the lower envelope of the parabolas of these pixels. All arithmetic is in integers; `distance` has a similar envelope
//! in floating point. The cost does not depend on the distance.

use ndarray::parallel::prelude::*;
use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis};

use crate::Error;
use crate::interrupt;

/// The number of columns that are processed together, so that a walk down them uses whole cache lines.
const STRIP: usize = 64;

/// The longest side of an image for which no square of a distance overflows.
const LONGEST_SIDE: usize = 1 << 30;

/// The mark for a column without a label.
const NO_ROW: u32 = u32::MAX;

/// A labelled pixel that may be the nearest one to pixels of a row.
#[derive(Debug, Clone, Copy)]
struct Site {
    row: u32,
    column: usize,
    /// The squared distance to the row.
    height: i64,
    /// The first column of the row that is nearer to this site than to the sites before it.
    from: i64,
}

impl Site {
    fn squared_distance(&self, column: usize) -> i64 {
        let along = column as i64 - self.column as i64;
        self.height + along * along
    }

    /// The first column at which this site wins against a site of an earlier column: it is nearer, or as near with a smaller
    /// row.
    fn wins_from(&self, earlier: &Self) -> i64 {
        let (u, i) = (self.column as i64, earlier.column as i64);
        let (gap, twice) = (u * u - i * i + self.height - earlier.height, 2 * (u - i));
        let tied = gap.rem_euclid(twice) == 0;
        gap.div_euclid(twice) + i64::from(!tied || self.row >= earlier.row)
    }
}

/// Write the labels to `expanded`; a background pixel at most `distance` from a labelled pixel, centre to centre, gets the
/// label of the nearest one. Of several equally near pixels, the first by row, then column, counts.
///
/// # Errors
/// If the distance is negative or not a number, or a side is longer than 2^30 pixels.
pub fn expand_labels(
    labels: ArrayView2<'_, u32>,
    mut expanded: ArrayViewMut2<'_, u32>,
    distance: f64,
) -> Result<(), Error> {
    let (rows, columns) = labels.dim();
    if distance.is_nan() || distance < 0.0 {
        let message = format!("distance: expected 0 or more pixels, got {distance}");
        return Err(Error::Setting(message));
    }
    if rows.max(columns) > LONGEST_SIDE {
        return Err(Error::Data(format!(
            "labels: expected at most {LONGEST_SIDE} pixels a side, got {rows} x {columns}"
        )));
    }
    if labels.is_empty() {
        return Ok(());
    }
    let limit = squared_limit(distance);
    nearest_rows(labels, expanded.view_mut());
    expanded
        .axis_iter_mut(Axis(0))
        .into_par_iter()
        .enumerate()
        .for_each_init(Vec::new, |sites, (row, line)| {
            interrupt::check();
            expand_row(labels, row, line, limit, sites);
        });
    Ok(())
}

/// The largest squared distance between pixels whose root, in floating point, does not exceed `distance`.
fn squared_limit(distance: f64) -> i64 {
    // No two pixels are further apart than this.
    let distance = distance.min(2.0 * LONGEST_SIDE as f64);
    let within = |square: i64| (square as f64).sqrt() <= distance;
    let mut limit = (distance * distance) as i64;
    while within(limit + 1) {
        limit += 1;
    }
    while !within(limit) {
        limit -= 1;
    }
    limit
}

/// Write to each pixel the row of the nearest label in its column; of two equally near labels, the upper one.
fn nearest_rows(labels: ArrayView2<'_, u32>, mut nearest: ArrayViewMut2<'_, u32>) {
    nearest
        .axis_chunks_iter_mut(Axis(1), STRIP)
        .into_par_iter()
        .zip(labels.axis_chunks_iter(Axis(1), STRIP))
        .for_each(|(mut nearest, labels)| {
            let mut above = vec![NO_ROW; labels.ncols()];
            for (row, (labels, mut nearest)) in labels
                .rows()
                .into_iter()
                .zip(nearest.rows_mut())
                .enumerate()
            {
                for ((&label, nearest), above) in labels.iter().zip(&mut nearest).zip(&mut above) {
                    if label != 0 {
                        *above = row as u32;
                    }
                    *nearest = *above;
                }
            }
            let mut below = vec![NO_ROW; labels.ncols()];
            for (row, mut nearest) in nearest.rows_mut().into_iter().enumerate().rev() {
                let row = row as u32;
                for (nearest, below) in nearest.iter_mut().zip(&mut below) {
                    if *nearest == row {
                        *below = row;
                    } else if *below != NO_ROW
                        && (*nearest == NO_ROW || *below - row < row - *nearest)
                    {
                        *nearest = *below;
                    }
                }
            }
        });
}

/// Replace the rows of the nearest labels within columns by the nearest labels of the whole image.
fn expand_row(
    labels: ArrayView2<'_, u32>,
    row: usize,
    mut line: ArrayViewMut1<'_, u32>,
    limit: i64,
    sites: &mut Vec<Site>,
) {
    lower_envelope(line.iter().copied(), row, limit, sites);
    let width = line.len();
    if sites.is_empty() {
        line.fill(0);
    }
    for (index, site) in sites.iter().enumerate() {
        let end = sites
            .get(index + 1)
            .map_or(width, |next| next.from as usize);
        let label = labels[[site.row as usize, site.column]];
        for column in site.from as usize..end {
            line[column] = if site.squared_distance(column) <= limit {
                label
            } else {
                0
            };
        }
    }
}

/// Find the sites that are nearest to some pixel of the row, in the order of their columns.
fn lower_envelope(
    nearest_rows: impl ExactSizeIterator<Item = u32>,
    row: usize,
    limit: i64,
    sites: &mut Vec<Site>,
) {
    sites.clear();
    let width = nearest_rows.len() as i64;
    for (column, nearest) in nearest_rows.enumerate() {
        let away = i64::from(nearest) - row as i64;
        if nearest == NO_ROW || away * away > limit {
            continue;
        }
        let mut site = Site {
            row: nearest,
            column,
            height: away * away,
            from: 0,
        };
        while let Some(last) = sites.last() {
            site.from = site.wins_from(last);
            if site.from > last.from {
                break;
            }
            sites.pop();
        }
        if sites.is_empty() {
            site.from = 0;
        }
        if site.from < width {
            sites.push(site);
        }
    }
}
