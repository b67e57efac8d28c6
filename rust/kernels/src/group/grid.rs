//! A grid that finds the centres near a place.

use super::centre::Centre;

/// Smaller cells cost more to fill than they save.
const LEAST_SIDE: usize = 8;

/// A grid of square cells. Each cell lists all centres within a radius of it, so one cell answers a query.
pub(super) struct Grid {
    side: usize,
    rows: usize,
    columns: usize,
    starts: Vec<usize>,
    members: Vec<u32>,
}

impl Grid {
    /// List the centres of an image of this shape. `radius` is in pixels.
    pub(super) fn new(centres: &[Centre], (rows, columns): (usize, usize), radius: usize) -> Self {
        let side = radius.max(LEAST_SIDE);
        let mut grid = Self {
            side,
            rows: rows.div_ceil(side),
            columns: columns.div_ceil(side),
            starts: Vec::new(),
            members: Vec::new(),
        };
        let mut counts = vec![0; grid.rows * grid.columns + 1];
        for centre in centres {
            grid.cells_near(centre, radius)
                .for_each(|cell| counts[cell + 1] += 1);
        }
        for cell in 1..counts.len() {
            counts[cell] += counts[cell - 1];
        }
        let mut next = counts.clone();
        let mut members = vec![0; counts[counts.len() - 1]];
        for (index, centre) in (0..).zip(centres) {
            for cell in grid.cells_near(centre, radius) {
                members[next[cell]] = index;
                next[cell] += 1;
            }
        }
        grid.starts = counts;
        grid.members = members;
        grid
    }

    /// Indices, ascending, of all centres within the radius of the pixel, and of some others. The pixel may lie off the
    /// image: the nearest cell lists every centre within the radius.
    pub(super) fn near(&self, row: i64, column: i64) -> &[u32] {
        let clamp = |place: i64, cells: usize| (place.max(0) as usize / self.side).min(cells - 1);
        let cell = clamp(row, self.rows) * self.columns + clamp(column, self.columns);
        &self.members[self.starts[cell]..self.starts[cell + 1]]
    }

    fn cells_near(&self, centre: &Centre, radius: usize) -> impl Iterator<Item = usize> + use<> {
        let side = self.side;
        let span = |place: usize, cells: usize| {
            place.saturating_sub(radius) / side..=((place + radius) / side).min(cells - 1)
        };
        let (across, columns) = (span(centre.column, self.columns), self.columns);
        span(centre.row, self.rows)
            .flat_map(move |row| across.clone().map(move |column| row * columns + column))
    }
}
