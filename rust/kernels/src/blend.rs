//! The blending of overlapping tiles of floating-point numbers on one canvas, by weights.

use ndarray::parallel::prelude::*;
use ndarray::{ArrayView2, ArrayView4, ArrayViewMut3, Axis};

use crate::error::{Error, check_shape};
use crate::interrupt;

/// The number of rows of the canvas that one thread takes at a time.
const STRIP: usize = 32;

/// Write to each pixel of the canvas (H, W, C) the weighted mean of the tiles (N, h, w, C) that cover it. A pixel without a
/// weight above 0 becomes not-a-number.
///
/// `corners` are the row and column of the first pixel of each tile. Pixels beside the canvas are left out. Sums are in double
/// precision and in the order of the tiles, so the result is the same for any number of threads.
///
/// # Errors
///
/// If the arguments do not match, or a weight is negative or not finite.
pub fn blend_tiles(
    tiles: ArrayView4<'_, f32>,
    corners: &[[i64; 2]],
    weights: ArrayView2<'_, f32>,
    mut canvas: ArrayViewMut3<'_, f32>,
) -> Result<(), Error> {
    check(tiles, corners, weights, canvas.dim().2)?;
    if canvas.is_empty() {
        return Ok(());
    }
    canvas
        .axis_chunks_iter_mut(Axis(0), STRIP)
        .into_par_iter()
        .enumerate()
        .for_each(|(strip, pixels)| {
            blend_strip(tiles, corners, weights, (strip * STRIP) as i64, pixels);
        });
    Ok(())
}

fn check(
    tiles: ArrayView4<'_, f32>,
    corners: &[[i64; 2]],
    weights: ArrayView2<'_, f32>,
    channels: usize,
) -> Result<(), Error> {
    let (count, height, width, tile_channels) = tiles.dim();
    if corners.len() != count {
        return Err(Error::Data(format!(
            "corners: expected one for each of {count} tiles, got {}",
            corners.len()
        )));
    }
    check_shape(
        "weights",
        "the shape of a tile",
        (height, width),
        weights.dim(),
    )?;
    if channels != tile_channels {
        return Err(Error::Data(format!(
            "canvas: expected {tile_channels} channels, as the tiles have, got {channels}"
        )));
    }
    let has_sense = |weight: f32| weight.is_finite() && weight >= 0.0;
    match weights
        .indexed_iter()
        .find(|(_, weight)| !has_sense(**weight))
    {
        Some(((row, column), value)) => Err(Error::Data(format!(
            "weights: expected finite numbers of 0 or more, got {value} at row {row}, column {column}"
        ))),
        None => Ok(()),
    }
}

fn blend_strip(
    tiles: ArrayView4<'_, f32>,
    corners: &[[i64; 2]],
    weights: ArrayView2<'_, f32>,
    first_row: i64,
    mut strip: ArrayViewMut3<'_, f32>,
) {
    let (rows, columns, channels) = strip.dim();
    let mut sums = vec![0.0; rows * columns * channels];
    let mut totals = vec![0.0; rows * columns];
    for (tile, &[top, left]) in tiles.outer_iter().zip(corners) {
        let top = top.saturating_sub(first_row);
        for row in overlap(top, tile.dim().0, rows) {
            interrupt::check();
            for column in overlap(left, tile.dim().1, columns) {
                let place = [(row as i64 - top) as usize, (column as i64 - left) as usize];
                let weight = f64::from(weights[place]);
                if weight > 0.0 {
                    let pixel = row * columns + column;
                    totals[pixel] += weight;
                    for channel in 0..channels {
                        let value = f64::from(tile[[place[0], place[1], channel]]);
                        sums[pixel * channels + channel] += weight * value;
                    }
                }
            }
        }
    }
    for (index, value) in strip.iter_mut().enumerate() {
        *value = (sums[index] / totals[index / channels]) as f32;
    }
}

/// The part of a canvas's side that the side of a tile covers.
fn overlap(start: i64, length: usize, canvas: usize) -> std::ops::Range<usize> {
    let end = start.saturating_add(length as i64).clamp(0, canvas as i64);
    (start.max(0).min(end) as usize)..end as usize
}
