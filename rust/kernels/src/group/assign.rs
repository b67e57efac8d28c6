//! The assignment of foreground pixels to centres.

use ndarray::{Array2, ArrayView3};
use rayon::prelude::*;

use super::centre::Centre;
use super::config::{GroupConfig, whole};
use super::grid::Grid;
use super::{CHANNELS, STRETCH};
use crate::interrupt;

/// The byte that stands for an offset of 0.
const BIAS: i32 = 128;

/// Write to each pixel of `owners` the number of its centre, counted from 1, or 0 for none.
pub(super) fn owners(
    maps: ArrayView3<'_, u8>,
    centres: &[Centre],
    config: &GroupConfig,
    mut owners: Array2<u32>,
) -> Array2<u32> {
    let (rows, columns) = owners.dim();
    let grid = Grid::new(centres, (rows, columns), whole(config.assignment_radius));
    let least = config.least_foreground();
    let clip = clipped(config);
    let within = (4.0 * config.assignment_radius * config.assignment_radius) as i64;
    let pixels = maps.as_slice().expect("maps are laid out row by row");
    let (pixels, _) = pixels.as_chunks::<CHANNELS>();
    let plane = owners
        .as_slice_mut()
        .expect("the plane is laid out row by row");
    plane
        .par_chunks_mut(columns)
        .zip(pixels.par_chunks(columns))
        .enumerate()
        .for_each(|(row, (owners, pixels))| {
            interrupt::check();
            let owner = |column: usize, pixel: &[u8; CHANNELS]| {
                if u32::from(pixel[0]) < least {
                    return 0;
                }
                let place = (
                    2 * row as i64 + i64::from(offset(pixel[2], clip)),
                    2 * column as i64 + i64::from(offset(pixel[3], clip)),
                );
                nearest(place, centres, &grid, within)
            };
            let stretches = owners.chunks_mut(STRETCH).zip(pixels.chunks(STRETCH));
            for (start, (owners, pixels)) in (0..).step_by(STRETCH).zip(stretches) {
                // The fold has no early exit, so it compiles to a few vector instructions.
                let most = pixels.iter().fold(0, |most, pixel| most.max(pixel[0]));
                if u32::from(most) < least {
                    owners.fill(0);
                    continue;
                }
                for (column, (found, pixel)) in (start..).zip(owners.iter_mut().zip(pixels)) {
                    *found = owner(column, pixel);
                }
            }
        });
    owners
}

/// The largest offset in half pixels.
pub(super) fn clipped(config: &GroupConfig) -> i32 {
    2 * config.max_offset as i32
}

/// The offset in half pixels that a byte stands for.
pub(super) fn offset(byte: u8, clip: i32) -> i32 {
    (i32::from(byte) - BIAS).clamp(-clip, clip)
}

/// The number of the centre nearest to a place in half pixels; of equally near centres, the first in raster order.
fn nearest(place: (i64, i64), centres: &[Centre], grid: &Grid, within: i64) -> u32 {
    let mut best = (within + 1, 0);
    for &index in grid.near(place.0.div_euclid(2), place.1.div_euclid(2)) {
        let centre = &centres[index as usize];
        let rows = 2 * centre.row as i64 - place.0;
        let columns = 2 * centre.column as i64 - place.1;
        let squared = rows * rows + columns * columns;
        if squared < best.0 {
            best = (squared, index + 1);
        }
    }
    best.1
}
