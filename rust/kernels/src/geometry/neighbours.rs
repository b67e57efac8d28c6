//! Neighbours of points in the plane: the distance to the nearest one, and how many lie within a radius.
//!
//! Points are sorted into cells as wide as the radius, so that all neighbours of a point lie in nine cells.

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::interrupt;

/// The neighbours of a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbours {
    /// The distance to the nearest other point; not-a-number if there is none within the radius.
    pub nearest: f64,
    /// The number of other points within the radius, those at this very distance included.
    pub count: u64,
}

/// Find the neighbours of each point within a radius, which is positive and finite.
#[must_use]
pub fn neighbours(points: &[[f64; 2]], radius: f64) -> Vec<Neighbours> {
    // A little wider, as divisions are rounded.
    let side = radius * 1.000_001;
    let cell = |point: &[f64; 2]| point.map(|at| (at / side).floor() as i64);
    let mut cells: FxHashMap<[i64; 2], Vec<u32>> = FxHashMap::default();
    for (index, point) in points.iter().enumerate() {
        cells.entry(cell(point)).or_default().push(index as u32);
    }
    points
        .par_iter()
        .enumerate()
        .map(|(index, point)| {
            interrupt::check();
            let [row, column] = cell(point);
            let mut found = Neighbours {
                nearest: f64::NAN,
                count: 0,
            };
            for near in
                (-1..=1).flat_map(|down| (-1..=1).map(move |right| [row + down, column + right]))
            {
                for &other in cells.get(&near).into_iter().flatten() {
                    if other as usize == index {
                        continue;
                    }
                    let [down, right] =
                        [0, 1].map(|axis| points[other as usize][axis] - point[axis]);
                    let distance = (down * down + right * right).sqrt();
                    if distance <= radius {
                        found.count += 1;
                        found.nearest = found.nearest.min(distance);
                    }
                }
            }
            found
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_at_the_very_radius_counts_and_one_beyond_does_not() {
        let found = neighbours(&[[0.0, 0.0], [3.0, 4.0], [3.0, -4.1]], 5.0);
        assert_eq!((found[0].nearest, found[0].count), (5.0, 1));
        assert_eq!(found[2].count, 0);
        assert!(found[2].nearest.is_nan());
    }
}
