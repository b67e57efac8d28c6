//! The edges of a ring, which are split until none cross.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

use super::difference;
use super::line::Line;
use crate::Error;
use crate::interrupt;
use crate::shape::contour::Vertex;

/// The grid is set up again when there are this many times as many edges.
const GROWTH: usize = 4;

/// The edges of a ring through some of its vertices. An edge is named by the place of its first vertex.
pub(super) struct Edges<'a> {
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
    pub(super) fn new(line: &'a Line<'a>, kept: &[usize]) -> Self {
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
    pub(super) fn untangled(mut self) -> Result<Vec<Vertex>, Error> {
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
