//! Which centre each foreground pixel belongs to.

use ndarray::{Array2, ArrayView3, Axis, Zip};

use super::grid::Grid;
use super::peaks::Centre;
use super::settings::{GroupSettings, whole};
use crate::interrupt;

/// Byte that stands for no offset.
const BIAS: i64 = 128;

/// For every pixel the number of its centre, counted from 1, or 0 for none; `owners` of any content is overwritten.
pub(super) fn owners(
    maps: ArrayView3<'_, u8>,
    centres: &[Centre],
    settings: &GroupSettings,
    mut owners: Array2<u32>,
) -> Array2<u32> {
    let (rows, columns) = owners.dim();
    let grid = Grid::new(centres, (rows, columns), whole(settings.snap));
    let least = settings.least_foreground();
    let clip = 2 * settings.reach as i64;
    let within = (4.0 * settings.snap * settings.snap) as i64;
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

/// Number of the centre nearest to a place in half pixels, the first in raster order among equals.
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
