//! The assignment of foreground pixels to centres.

use ndarray::{Array2, ArrayView3, Axis, Zip};

use super::centre::Centre;
use super::config::{GroupConfig, whole};
use super::grid::Grid;
use crate::interrupt;

/// The byte that stands for an offset of 0.
const BIAS: i64 = 128;

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
    let clip = 2 * config.max_offset as i64;
    let within = (4.0 * config.assignment_radius * config.assignment_radius) as i64;
    Zip::indexed(owners.axis_iter_mut(Axis(0)))
        .and(maps.axis_iter(Axis(0)))
        .par_for_each(|row, owners, maps| {
            interrupt::check();
            Zip::indexed(owners)
                .and(maps.lanes(Axis(1)))
                .for_each(|column, owner, pixel| {
                    if u32::from(pixel[0]) < least {
                        *owner = 0;
                        return;
                    }
                    let offset = |byte: u8| (i64::from(byte) - BIAS).clamp(-clip, clip);
                    let place = (
                        2 * row as i64 + offset(pixel[2]),
                        2 * column as i64 + offset(pixel[3]),
                    );
                    *owner = nearest(place, centres, &grid, within);
                });
        });
    owners
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
