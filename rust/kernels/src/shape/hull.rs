//! The convex hull of a nucleus's pixel squares: its area and its Feret diameters (calipers).
//!
//! Corners of pixels are integers, so all products are exact, and the results do not depend on the place of the nucleus.

/// A corner (x, y).
type Corner = [i64; 2];

/// The columns from the first to the last pixel of a nucleus in one row.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extent {
    pub row: usize,
    pub left: u32,
    pub right: u32,
}

/// A convex hull as its two sides, both from top to bottom. The left one is mirrored, so that it is a right side too.
pub(crate) struct Hull {
    right: Vec<Corner>,
    left: Vec<Corner>,
}

impl Hull {
    /// The hull of the pixels in the extents, which ascend by row (monotone chain, Andrew 1979).
    pub fn new(extents: &[Extent]) -> Self {
        let side = |of: fn(&Extent) -> i64| {
            let mut chain: Vec<Corner> = Vec::new();
            for extent in extents {
                for y in [extent.row as i64, extent.row as i64 + 1] {
                    append(&mut chain, [of(extent), y]);
                }
            }
            chain
        };
        Self {
            right: side(|extent| i64::from(extent.right)),
            left: side(|extent| -i64::from(extent.left)),
        }
    }

    pub fn area(&self) -> f64 {
        // Twice the area between the chain and the axis.
        let side = |chain: &[Corner]| -> i128 {
            chain
                .windows(2)
                .map(|edge| {
                    i128::from(edge[0][0] + edge[1][0]) * i128::from(edge[1][1] - edge[0][1])
                })
                .sum()
        };
        (side(&self.right) + side(&self.left)) as f64 / 2.0
    }

    /// The greatest distance of two corners, and the least distance of two parallel lines that enclose the hull.
    pub fn feret_diameters(&self) -> [f64; 2] {
        let left = self.left.iter().rev().map(|&[x, y]| [-x, y]);
        let corners: Vec<Corner> = self.right.iter().copied().chain(left).collect();
        let squared = |[ax, ay]: Corner, [bx, by]: Corner| {
            let (across, down) = (i128::from(bx - ax), i128::from(by - ay));
            across * across + down * down
        };
        let mut longest = 0;
        let mut least = f64::INFINITY;
        for (place, &start) in corners.iter().enumerate() {
            let end = corners[(place + 1) % corners.len()];
            let edge = squared(start, end);
            let mut furthest = 0;
            for &corner in &corners {
                longest = longest.max(squared(start, corner));
                furthest = furthest.max(turn(start, end, corner).abs());
            }
            if edge > 0 {
                least = least.min(furthest as f64 / (edge as f64).sqrt());
            }
        }
        [(longest as f64).sqrt(), least]
    }
}

/// Twice the area of a triangle, positive if it turns to the side of greater x at greater y.
fn turn([ax, ay]: Corner, [bx, by]: Corner, [x, y]: Corner) -> i128 {
    i128::from(bx - ax) * i128::from(y - ay) - i128::from(by - ay) * i128::from(x - ax)
}

/// Append a corner, not above the last one, to the chain of the right side of a hull.
fn append(chain: &mut Vec<Corner>, [x, y]: Corner) {
    match chain.last() {
        Some(&[before, at]) if at == y && before >= x => return,
        Some(&[_, at]) if at == y => {
            chain.pop();
        }
        _ => (),
    }
    while let [.., before, last] = chain[..] {
        if turn(before, last, [x, y]) > 0 {
            break;
        }
        chain.pop();
    }
    chain.push([x, y]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diameters(rows: &[(u32, u32)]) -> [f64; 2] {
        let extents: Vec<Extent> = rows
            .iter()
            .enumerate()
            .map(|(row, &(left, right))| Extent { row, left, right })
            .collect();
        Hull::new(&extents).feret_diameters()
    }

    #[test]
    fn a_pixel_is_as_wide_as_its_side_and_as_long_as_its_diagonal() {
        assert_eq!(diameters(&[(5, 6)]), [2.0_f64.sqrt(), 1.0]);
    }

    #[test]
    fn a_rectangle_has_its_diagonal_and_its_short_side() {
        assert_eq!(diameters(&[(2, 6), (2, 6), (2, 6)]), [5.0, 3.0]);
    }

    #[test]
    fn a_diagonal_line_is_as_narrow_as_the_diagonal_of_a_pixel() {
        let line: Vec<(u32, u32)> = (0..10).map(|column| (column, column + 1)).collect();
        let [longest, least] = diameters(&line);
        assert_eq!(longest, 200.0_f64.sqrt());
        assert!((least - 2.0_f64.sqrt()).abs() < 1e-12);
    }
}
