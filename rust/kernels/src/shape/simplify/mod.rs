//! Rings with fewer vertices: simple, and nowhere further from the original than a tolerance.
//!
//! The vertices are chosen by the algorithm of Douglas and Peucker (1973), Algorithms for the reduction of the number of
//! points required to represent a digitized line or its caricature, <https://doi.org/10.3138/FM57-6770-U75U-7727>. Its ring
//! may cross itself. Edges that cross are split at their furthest vertices until none cross, at the latest when the ring is
//! the original one.
//!
//! A tree of bounding boxes finds the vertex furthest from an edge, and a hash grid with cells as wide as a mean edge finds
//! the edges near an edge. So a ring of n vertices takes O(n log n), unless very many vertices are equally far from an edge or
//! very many edges lie in one cell.

mod edges;
mod line;

use super::contour::Vertex;
use crate::Error;
use edges::Edges;
use line::Line;

/// Keep some vertices of a closed, simple ring. The ring through them is simple, and every removed vertex is at most
/// `tolerance` from the edge that replaces it. So each ring lies within the tolerance of the other.
///
/// The first vertex stays.
///
/// # Errors
///
/// If the tolerance is negative, or the ring is open, too short or not simple.
pub fn simplify_ring(ring: &[Vertex], tolerance: f64) -> Result<Vec<Vertex>, Error> {
    if tolerance.is_nan() || tolerance < 0.0 {
        let message = format!("tolerance: expected 0 or more pixels, got {tolerance}");
        return Err(Error::Setting(message));
    }
    let not_a_ring = |got: &str| {
        Err(Error::Data(format!(
            "ring: expected at least 4 vertices, the last one equal to the first, got {got}"
        )))
    };
    if ring.len() < 4 {
        return not_a_ring(&format!("{} vertices", ring.len()));
    }
    if ring.first() != ring.last() {
        return not_a_ring("an open ring");
    }
    // Two anchors cut the ring into two lines.
    let last = ring.len() - 1;
    let away = |place: &usize| squared_length(ring[0], ring[*place]);
    let far = (1..last).max_by_key(away).unwrap_or(1);
    let mut kept = vec![0];
    let line = Line::new(ring);
    keep_between(&line, 0, far, tolerance, &mut kept);
    kept.push(far);
    keep_between(&line, far, last, tolerance, &mut kept);
    kept.push(last);
    if kept.len() == 3 {
        // Two edges lie on each other.
        let between = [(0, far), (far, last)].map(|(from, to)| line.furthest(from, to));
        kept.extend(between.into_iter().flatten().map(|(place, _)| place));
        kept.sort_unstable();
    }
    Edges::new(&line, &kept).untangled()
}

/// Append the vertices to keep between two kept vertices, ascending. A stack replaces recursion, which may be as deep as the
/// ring is long.
fn keep_between(line: &Line<'_>, from: usize, to: usize, tolerance: f64, kept: &mut Vec<usize>) {
    let mut ends = vec![to];
    let mut start = from;
    while let Some(&end) = ends.last() {
        match line.furthest(start, end) {
            Some((place, distance)) if distance > tolerance => ends.push(place),
            _ => {
                ends.pop();
                if end != to {
                    kept.push(end);
                }
                start = end;
            }
        }
    }
}

fn difference(from: Vertex, to: Vertex) -> [f64; 2] {
    [0, 1].map(|axis| f64::from(to[axis]) - f64::from(from[axis]))
}

fn squared_length(from: Vertex, to: Vertex) -> i128 {
    let along = |axis: usize| i128::from(to[axis]) - i128::from(from[axis]);
    along(0) * along(0) + along(1) * along(1)
}
