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

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

use super::contour::Vertex;
use crate::Error;
use crate::interrupt;

/// The number of vertices in a box of the lowest level.
const LEAF: usize = 16;

/// Along shorter edges, rounding never changes the distance of a vertex beside an edge along an axis.
const EXACT: f64 = (1 << 20) as f64;

/// A bound of the rounding errors of a distance, as a share of the coordinates.
const ROUNDING: f64 = 1e-14;

/// The grid is set up again when there are this many times as many edges.
const GROWTH: usize = 4;

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

/// A ring with a tree of bounding boxes, which finds the vertex furthest from an edge without a look at most others.
struct Line<'a> {
    ring: &'a [Vertex],
    /// The least and greatest coordinates of vertices that follow each other: of [`LEAF`] vertices on the first level, of
    /// twice as many on each next one.
    levels: Vec<Vec<[Vertex; 2]>>,
}

impl<'a> Line<'a> {
    fn new(ring: &'a [Vertex]) -> Self {
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
    fn furthest(&self, from: usize, to: usize) -> Option<(usize, f64)> {
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

fn difference(from: Vertex, to: Vertex) -> [f64; 2] {
    [0, 1].map(|axis| f64::from(to[axis]) - f64::from(from[axis]))
}

fn squared_length(from: Vertex, to: Vertex) -> i128 {
    let along = |axis: usize| i128::from(to[axis]) - i128::from(from[axis]);
    along(0) * along(0) + along(1) * along(1)
}

/// The edges of a ring through some of its vertices. An edge is named by the place of its first vertex.
struct Edges<'a> {
    line: &'a Line<'a>,
    /// For each vertex that an edge starts from, the vertex where the edge ends.
    next: Vec<usize>,
    count: usize,
    /// The count of edges when the grid was set up.
    filed: usize,
    /// The side of a cell of the grid.
    side: i64,
    /// The edges that may touch a cell, and edges that started with the same vertex before they were split.
    grid: FxHashMap<[i64; 2], Vec<usize>>,
    /// Edges that may cross an edge of a higher rank, by the rank and the end that they had when they were added.
    pending: BinaryHeap<Reverse<(Rank, usize)>>,
}

/// The order in which edges are checked: by the least x, then by the first vertex.
type Rank = (i32, usize);

impl<'a> Edges<'a> {
    fn new(line: &'a Line<'a>, kept: &[usize]) -> Self {
        let mut edges = Self {
            line,
            next: vec![0; line.ring.len()],
            count: kept.len() - 1,
            filed: 0,
            side: 1,
            grid: FxHashMap::default(),
            pending: BinaryHeap::new(),
        };
        for pair in kept.windows(2) {
            edges.next[pair[0]] = pair[1];
            edges.wait(pair[0]);
        }
        edges.file_all();
        edges
    }

    /// The first vertex of each edge, in the order of the ring.
    fn starts(&self) -> impl Iterator<Item = usize> {
        let is_last = |start: usize| self.next[start] + 1 == self.line.ring.len();
        std::iter::successors(Some(0), move |&start| {
            (!is_last(start)).then(|| self.next[start])
        })
    }

    /// Set up the grid for edges of the present lengths.
    fn file_all(&mut self) {
        let starts: Vec<usize> = self.starts().collect();
        let length = |&start: &usize| {
            let [from, to] = self.edge(start);
            let [x, y] = difference(from, to).map(f64::abs);
            x.max(y)
        };
        let total: f64 = starts.iter().map(length).sum();
        self.side = (total / self.count as f64).ceil() as i64 + 1;
        self.grid.clear();
        self.filed = self.count;
        for start in starts {
            self.file(start);
        }
    }

    fn file(&mut self, start: usize) {
        for cell in cells(self.edge(start), self.side) {
            self.grid.entry(cell).or_default().push(start);
        }
    }

    fn wait(&mut self, start: usize) {
        let entry = (self.rank(start), self.next[start]);
        self.pending.push(Reverse(entry));
    }

    fn edge(&self, from: usize) -> [Vertex; 2] {
        [self.line.ring[from], self.line.ring[self.next[from]]]
    }

    fn rank(&self, from: usize) -> Rank {
        let [start, end] = self.edge(from);
        (start[0].min(end[0]), from)
    }

    /// Split crossing edges until none cross, always the pair of the lowest rank, and return the vertices.
    fn untangled(mut self) -> Result<Vec<Vertex>, Error> {
        while let Some(Reverse((rank, to))) = self.pending.pop() {
            interrupt::check();
            let one = rank.1;
            if self.next[one] != to {
                continue;
            }
            let higher = self.crossing(one).filter(|&other| self.rank(other) > rank);
            if let Some(other) = higher.min_by_key(|&other| self.rank(other)) {
                self.split(one, other)?;
            }
        }
        let starts = self.starts().map(|start| self.line.ring[start]);
        Ok(starts.chain([self.line.ring[0]]).collect())
    }

    /// The edges that meet an edge where they must not; an edge may come several times.
    fn crossing(&self, one: usize) -> impl Iterator<Item = usize> {
        cells(self.edge(one), self.side)
            .filter_map(|cell| self.grid.get(&cell))
            .flatten()
            .copied()
            .filter(move |&other| other != one && self.meet(one.min(other), one.max(other)))
    }

    /// Whether two edges, by their order in the ring, meet where they must not.
    fn meet(&self, first: usize, second: usize) -> bool {
        let (one, other) = (self.edge(first), self.edge(second));
        if self.next[first] == second {
            folds_back(one, other[1])
        } else if first == 0 && self.next[second] + 1 == self.line.ring.len() {
            folds_back(other, one[1])
        } else {
            touch(one, other)
        }
    }

    /// Put the furthest vertex back into each of two edges, unless an edge of the original ring.
    fn split(&mut self, one: usize, other: usize) -> Result<(), Error> {
        let mut new = Vec::new();
        for from in [one, other] {
            let to = self.next[from];
            if let Some((vertex, _)) = self.line.furthest(from, to) {
                self.next[from] = vertex;
                self.next[vertex] = to;
                new.extend([from, vertex]);
            }
        }
        if new.is_empty() {
            return Err(Error::Data(format!(
                "ring: expected no edge to cross or touch another, but those from vertices {} and {} do",
                one.min(other),
                one.max(other)
            )));
        }
        self.count += new.len() / 2;
        if self.count > GROWTH * self.filed {
            self.file_all();
        } else {
            new.iter().for_each(|&edge| self.file(edge));
        }
        // Edges that crossed no edge of a higher rank may cross a new one.
        let crossing: Vec<usize> = new.iter().flat_map(|&edge| self.crossing(edge)).collect();
        for edge in new.into_iter().chain(crossing).chain([one]) {
            self.wait(edge);
        }
        Ok(())
    }
}

/// The cells of a grid that an edge may touch.
fn cells([from, to]: [Vertex; 2], side: i64) -> impl Iterator<Item = [i64; 2]> {
    let ([left, y_left], [right, y_right]) = if from[0] <= to[0] {
        (from, to)
    } else {
        (to, from)
    };
    let (left, right) = (i64::from(left), i64::from(right));
    let slope = f64::from(y_right) - f64::from(y_left);
    let slope = slope / (right - left).max(1) as f64;
    let y_at = move |x: i64| f64::from(y_left) + slope * (x.clamp(left, right) - left) as f64;
    let ends = (
        i64::from(y_left.min(y_right)),
        i64::from(y_left.max(y_right)),
    );
    let vertical = left == right;
    (left.div_euclid(side)..=right.div_euclid(side)).flat_map(move |column| {
        let (one, other) = (y_at(column * side), y_at((column + 1) * side));
        // Rounded outwards, so that no touched cell is missing.
        let (low, high) = if vertical {
            ends
        } else {
            let (low, high) = (one.min(other).floor() as i64, one.max(other).ceil() as i64);
            ((low - 1).max(ends.0), (high + 1).min(ends.1))
        };
        (low.div_euclid(side)..=high.div_euclid(side)).map(move |row| [column, row])
    })
}

/// Whether an edge goes back over the edge before it.
fn folds_back([from, corner]: [Vertex; 2], to: Vertex) -> bool {
    let back = |axis: usize| {
        (i128::from(from[axis]) - i128::from(corner[axis]))
            * (i128::from(to[axis]) - i128::from(corner[axis]))
    };
    turn(from, corner, to) == 0 && back(0) + back(1) >= 0
}

/// Whether two edges have a point in common.
fn touch([a, b]: [Vertex; 2], [c, d]: [Vertex; 2]) -> bool {
    let turns = [turn(a, b, c), turn(a, b, d), turn(c, d, a), turn(c, d, b)].map(i128::signum);
    if turns[0] * turns[1] < 0 && turns[2] * turns[3] < 0 {
        return true;
    }
    (turns[0] == 0 && is_between(c, a, b))
        || (turns[1] == 0 && is_between(d, a, b))
        || (turns[2] == 0 && is_between(a, c, d))
        || (turns[3] == 0 && is_between(b, c, d))
}

/// Twice the signed area of a triangle; exact.
fn turn(a: Vertex, b: Vertex, c: Vertex) -> i128 {
    let along = |to: Vertex, axis: usize| i128::from(to[axis]) - i128::from(a[axis]);
    along(b, 0) * along(c, 1) - along(b, 1) * along(c, 0)
}

/// Whether a point on the line through two others lies between them.
fn is_between(point: Vertex, a: Vertex, b: Vertex) -> bool {
    (0..2).all(|axis| (a[axis].min(b[axis])..=a[axis].max(b[axis])).contains(&point[axis]))
}
