//! The vertex of a ring that is furthest from an edge.

use super::difference;
use crate::interrupt;
use crate::shape::contour::Vertex;

/// The number of vertices in a box of the lowest level.
const LEAF: usize = 16;

/// Along shorter edges, rounding never changes the distance of a vertex beside an edge along an axis.
const EXACT: f64 = (1 << 20) as f64;

/// A bound of the rounding errors of a distance, as a share of the coordinates.
const ROUNDING: f64 = 1e-14;

/// A ring with a tree of bounding boxes, which finds the vertex furthest from an edge without a look at most others.
pub(super) struct Line<'a> {
    pub(super) ring: &'a [Vertex],
    /// The least and greatest coordinates of vertices that follow each other: of [`LEAF`] vertices on the first level, of
    /// twice as many on each next one.
    levels: Vec<Vec<[Vertex; 2]>>,
}

impl<'a> Line<'a> {
    pub(super) fn new(ring: &'a [Vertex]) -> Self {
        let around = |boxes: &[[Vertex; 2]]| {
            let bound = |end: usize, choose: fn(i32, i32) -> i32| {
                let corners = boxes.iter().map(|corners| corners[end]);
                corners.reduce(|one, other| [0, 1].map(|axis| choose(one[axis], other[axis])))
            };
            [bound(0, i32::min), bound(1, i32::max)]
                .map(|corner| corner.expect("a chunk has a box"))
        };
        let points: Vec<_> = ring.iter().map(|&vertex| [vertex; 2]).collect();
        let mut levels = vec![points.chunks(LEAF).map(around).collect::<Vec<_>>()];
        while let Some(last) = levels.last()
            && last.len() > 1
        {
            let next = last.chunks(2).map(around).collect();
            levels.push(next);
        }
        Self { ring, levels }
    }

    /// The vertex between two vertices that is furthest from the edge between them, of equally far ones the last, and its
    /// distance.
    pub(super) fn furthest(&self, from: usize, to: usize) -> Option<(usize, f64)> {
        interrupt::check();
        let mut best: Option<(usize, f64)> = None;
        let mut nodes = vec![(f64::INFINITY, self.levels.len() - 1, 0)];
        while let Some((bound, level, node)) = nodes.pop() {
            let size = LEAF << level;
            let places = (from + 1).max(node * size)..to.min((node + 1) * size);
            let is_beaten = |(place, distance): (usize, f64)| {
                bound < distance || (bound == distance && places.end <= place)
            };
            if places.is_empty() || best.is_some_and(is_beaten) {
                continue;
            }
            if level > 0 {
                let below = &self.levels[level - 1];
                let mut children = [2 * node, 2 * node + 1].map(|child| {
                    let bound = below.get(child).map_or(-1.0, |corners| {
                        most_distance(corners, self.ring[from], self.ring[to])
                    });
                    (bound, level - 1, child)
                });
                // The more promising child, of equal ones the later, is taken first.
                children.sort_by(|one, other| one.0.total_cmp(&other.0));
                nodes.extend(children);
                continue;
            }
            for place in places {
                let distance = distance_to_edge(self.ring[place], self.ring[from], self.ring[to]);
                let is_further = |(before, most): (usize, f64)| {
                    most.total_cmp(&distance).then(before.cmp(&place)).is_lt()
                };
                if best.is_none_or(is_further) {
                    best = Some((place, distance));
                }
            }
        }
        best
    }
}

/// A bound of the distances, as [`distance_to_edge`] rounds them, of all vertices in a box.
fn most_distance(&[low, high]: &[Vertex; 2], from: Vertex, to: Vertex) -> f64 {
    let [low_away, high_away, along] = [
        difference(from, low),
        difference(from, high),
        difference(from, to),
    ];
    for (axis, other) in [(0, 1), (1, 0)] {
        // Beside an edge along an axis the distance is a whole number; without slack, vertices as far away are passed over.
        let is_beside = along[other] == 0.0
            && low_away[axis].min(high_away[axis]) >= along[axis].min(0.0)
            && low_away[axis].max(high_away[axis]) <= along[axis].max(0.0);
        if is_beside && along[axis].abs() < EXACT {
            let most = low_away[other].abs().max(high_away[other].abs());
            return if most > 0.0 { most } else { 0.5 };
        }
    }
    // The distance to an edge is convex, so no vertex is further away than all corners.
    let corners = [low, [low[0], high[1]], [high[0], low[1]], high];
    let distances = corners.map(|corner| distance_to_edge(corner, from, to));
    let size: f64 = [low_away, high_away, along]
        .iter()
        .flatten()
        .map(|side| side.abs())
        .sum();
    distances.into_iter().fold(0.0, f64::max) + ROUNDING * size
}

fn distance_to_edge(point: Vertex, from: Vertex, to: Vertex) -> f64 {
    let [x, y] = difference(from, point);
    let [along_x, along_y] = difference(from, to);
    let length = along_x * along_x + along_y * along_y;
    let share = if length > 0.0 {
        ((x * along_x + y * along_y) / length).clamp(0.0, 1.0)
    } else {
        0.0
    };
    (x - share * along_x).hypot(y - share * along_y)
}
