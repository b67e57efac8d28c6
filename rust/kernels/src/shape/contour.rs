//! Outlines of nuclei along pixel edges. Rasterising them gives back exactly the label image.
//!
//! The pixel of row r and column c covers [c, c + 1] x [r, r + 1] in (x, y). Every 4-connected piece of a nucleus is one
//! polygon: an exterior ring with positive signed area (shoelace formula in x and y, so clockwise on screen, where y points
//! down) and holes with negative area. Rings are closed, turn at every vertex and are simple: a ring that would touch itself
//! at a corner is split in two. A hole may touch the exterior or another hole in single points, as simple-features geometry
//! allows.
//!
//! A walk goes from run to run, not from pixel to pixel, so its cost is the number of runs along it.

use std::ops::Range;

use ndarray::ArrayView2;
use rustc_hash::FxHashMap;

use crate::Error;
use crate::interrupt;
use crate::labels::components::union;
use crate::runs::{Run, find_runs, rows_of};

/// The corner of a pixel: x, then y.
pub type Vertex = [i32; 2];

/// A closed sequence of corners: the last one equals the first.
pub type Ring = Vec<Vertex>;

/// One 4-connected piece of a nucleus.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Polygon {
    /// The outer ring.
    pub exterior: Ring,
    /// The rings around its holes.
    pub holes: Vec<Ring>,
}

/// All pieces of one nucleus, by raster order of their first pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The label of the nucleus.
    pub label: u32,
    /// The pieces of the nucleus.
    pub polygons: Vec<Polygon>,
}

/// Trace every nucleus of a label image in one pass; labels ascending, 0 is background.
///
/// # Errors
/// If the image is too large for 32-bit coordinates and numbers of runs.
pub fn contours(labels: ArrayView2<'_, u32>) -> Result<Vec<Outline>, Error> {
    let (rows, columns) = labels.dim();
    let framed = rows
        .saturating_add(2)
        .saturating_mul(columns.saturating_add(2));
    if rows.max(columns) > i32::MAX as usize || framed > u32::MAX as usize {
        return Err(Error::Data(format!(
            "labels: expected at most 2^31 - 1 pixels a side and less than 2^32 with a frame of one pixel, got {rows} x {columns}"
        )));
    }
    let mut pieces = Tracer::new(labels).pieces();
    // Stable, so that the pieces of a label stay in their order.
    pieces.sort_by_key(|(label, _)| *label);
    let mut outlines: Vec<Outline> = Vec::new();
    for (label, polygon) in pieces {
        match outlines.last_mut() {
            Some(last) if last.label == label => last.polygons.push(polygon),
            _ => outlines.push(Outline {
                label,
                polygons: vec![polygon],
            }),
        }
    }
    Ok(outlines)
}

/// The direction of a walk along a run, which is on its right-hand side.
#[derive(Debug, Clone, Copy)]
enum Heading {
    /// Along the top edge. From this run on, runs of the row above may be in the way.
    Right(usize),
    /// Down the right edge.
    Down,
    /// Along the bottom edge. From this run back, runs of the row below may be in the way.
    Left(usize),
    /// Up the left edge.
    Up,
}

/// A vertex of a walk. At a pinch, the nucleus also has the pixel across the corner, so the walk may pass it twice.
#[derive(Debug, Clone, Copy)]
struct Turn {
    vertex: Vertex,
    pinch: bool,
}

/// A run with its neighbours, which a walk reads together.
#[derive(Debug, Clone, Copy)]
struct Linked {
    run: Run<u32>,
    above: Beside,
    below: Beside,
}

/// The runs of a neighbouring row that share columns with a run: from the first that ends after the run starts to the first
/// that starts after the run ends.
#[derive(Debug, Clone, Copy)]
struct Beside {
    first: u32,
    end: u32,
}

impl Beside {
    fn nothing_before(run: usize) -> Self {
        Self {
            first: run as u32,
            end: run as u32,
        }
    }

    fn range(self) -> Range<usize> {
        self.first as usize..self.end as usize
    }
}

struct Tracer {
    /// The runs in raster order. There is one run of background between two rows and two at either end, so that the first and
    /// the last run of a row have neighbours too.
    runs: Vec<Linked>,
    /// The places of the runs of each row.
    rows: Vec<Range<usize>>,
    /// For each run, whether a walk went along its top from its start, and along a top below it from its end.
    walked: Vec<[bool; 2]>,
}

impl Tracer {
    fn new(labels: ArrayView2<'_, u32>) -> Self {
        let background = Run {
            start: 0,
            end: 0,
            value: 0,
        };
        let labels = labels.as_standard_layout();
        let mut runs = vec![background; 2];
        let mut rows = Vec::with_capacity(labels.nrows());
        for row in rows_of(labels.view()) {
            interrupt::check();
            let start = runs.len();
            find_runs(row, &mut runs);
            rows.push(start..runs.len());
            runs.push(background);
        }
        runs.push(background);
        let (above, below) = (1, runs.len() - 1);
        let alone = |run| Linked {
            run,
            above: Beside::nothing_before(above),
            below: Beside::nothing_before(below),
        };
        let mut runs: Vec<Linked> = runs.into_iter().map(alone).collect();
        for pair in rows.windows(2) {
            find_beside(&mut runs, &pair[0], &pair[1], |upper| &mut upper.below);
            find_beside(&mut runs, &pair[1], &pair[0], |lower| &mut lower.above);
        }
        Self {
            walked: vec![[false; 2]; runs.len()],
            runs,
            rows,
        }
    }

    fn run(&self, run: usize) -> Run<u32> {
        self.runs[run].run
    }

    /// Every piece with its label, in raster order of first pixels.
    fn pieces(mut self) -> Vec<(u32, Polygon)> {
        let mut piece_of = self.first_runs();
        let mut pieces: Vec<(u32, Polygon)> = Vec::new();
        let mut turns = Vec::new();
        for row in 0..self.rows.len() {
            interrupt::check();
            for run in self.rows[row].clone() {
                let first = piece_of[run] as usize;
                piece_of[run] = if first == run {
                    pieces.push((self.run(run).value, Polygon::default()));
                    pieces.len() as u32 - 1
                } else {
                    piece_of[first]
                };
                let polygon = &mut pieces[piece_of[run] as usize].1;
                self.trace_tops(run, row, &mut turns, polygon);
            }
        }
        pieces
    }

    /// For each run the parent: a run of the same piece that is not later. The first run is its own parent.
    fn first_runs(&self) -> Vec<u32> {
        let mut parents: Vec<u32> = (0..self.runs.len() as u32).collect();
        for row in &self.rows {
            interrupt::check();
            for run in row.clone() {
                for above in self.runs[run].above.range() {
                    if self.is(above, self.run(run).value) {
                        union(&mut parents, above, run);
                    }
                }
            }
        }
        parents
    }

    fn is(&self, run: usize, label: u32) -> bool {
        self.run(run).value == label
    }

    /// Walk along every ring that starts at a top edge of this run. Every ring starts at some top edge.
    fn trace_tops(&mut self, run: usize, row: usize, turns: &mut Vec<Turn>, polygon: &mut Polygon) {
        let Run { start, end, value } = self.run(run);
        let above = self.runs[run].above.range();
        if !(self.is(above.start, value) && self.run(above.start).start <= start) {
            self.trace((run, 0), run, above.start, row, turns, polygon);
        }
        for upper in above {
            if self.is(upper, value) && self.run(upper).end < end {
                self.trace((upper, 1), run, upper + 1, row, turns, polygon);
            }
        }
    }

    /// Add the rings of the walk that starts with this top edge, unless a walk passed it before.
    fn trace(
        &mut self,
        (owner, side): (usize, usize),
        run: usize,
        next: usize,
        row: usize,
        turns: &mut Vec<Turn>,
        polygon: &mut Polygon,
    ) {
        if std::mem::replace(&mut self.walked[owner][side], true) {
            return;
        }
        self.walk((run, row as i32), next, turns);
        let mut rings = split(turns);
        if polygon.exterior.is_empty() {
            // The ring through the first pixel of a piece is its exterior; it closes last.
            polygon.exterior = rings.pop().expect("a walk has at least one ring");
        }
        polygon.holes.append(&mut rings);
    }

    /// Walk along the edges of a piece, from a top edge of a run back to that edge. Runs of the row above from `next` on may be
    /// in the way. Pixels across a corner are not connected, so the walk turns right there.
    fn walk(&mut self, (mut run, mut row): (usize, i32), next: usize, turns: &mut Vec<Turn>) {
        turns.clear();
        let label = self.run(run).value;
        let mut heading = Heading::Right(next);
        loop {
            let Linked {
                run: here,
                above,
                below,
            } = self.runs[run];
            let (above, below) = (above.range(), below.range());
            let (left, right) = (here.start as i32, here.end as i32);
            let mut turn = |vertex, pinch| turns.push(Turn { vertex, pinch });
            match heading {
                Heading::Right(next) => {
                    if let Some(upper) = (next..above.end).find(|&upper| self.is(upper, label)) {
                        turn([self.run(upper).start as i32, row], false);
                        (run, row, heading) = (upper, row - 1, Heading::Up);
                    } else {
                        let across = self.run(above.end);
                        let pinch = across.value == label && across.start == here.end;
                        turn([right, row], pinch);
                        heading = Heading::Down;
                    }
                }
                Heading::Down => {
                    let lower = self.run(below.end - 1);
                    if lower.value != label || lower.end < here.end {
                        let across = self.run(below.end);
                        let pinch = across.value == label && across.start == here.end;
                        turn([right, row + 1], pinch);
                        heading = Heading::Left(below.end - 1);
                        continue;
                    }
                    if lower.end > here.end {
                        turn([right, row + 1], false);
                        if std::mem::replace(&mut self.walked[run][1], true) {
                            return;
                        }
                        heading = Heading::Right(run + 1);
                    }
                    (run, row) = (below.end - 1, row + 1);
                }
                Heading::Left(next) => {
                    let mut lower = (below.start..=next).rev();
                    if let Some(lower) = lower.find(|&lower| self.is(lower, label)) {
                        turn([self.run(lower).end as i32, row + 1], false);
                        (run, row, heading) = (lower, row + 1, Heading::Down);
                    } else {
                        let across = self.run(below.start - 1);
                        let pinch = across.value == label && across.end == here.start;
                        turn([left, row + 1], pinch);
                        heading = Heading::Up;
                    }
                }
                Heading::Up => {
                    let upper = self.run(above.start);
                    if upper.value != label || upper.start > here.start {
                        let across = self.run(above.start - 1);
                        let pinch = across.value == label && across.end == here.start;
                        turn([left, row], pinch);
                        if std::mem::replace(&mut self.walked[run][0], true) {
                            return;
                        }
                        heading = Heading::Right(above.start);
                        continue;
                    }
                    if upper.start < here.start {
                        turn([left, row], false);
                        heading = Heading::Left(run - 1);
                    }
                    (run, row) = (above.start, row - 1);
                }
            }
        }
    }
}

/// For each run of one row, write to `side` the runs of a neighbouring row that share columns with it.
fn find_beside(
    runs: &mut [Linked],
    row: &Range<usize>,
    neighbours: &Range<usize>,
    side: impl Fn(&mut Linked) -> &mut Beside,
) {
    let (mut first, mut end) = (neighbours.start, neighbours.start);
    for run in row.clone() {
        let here = runs[run].run;
        while first < neighbours.end && runs[first].run.end <= here.start {
            first += 1;
        }
        end = end.max(first);
        while end < neighbours.end && runs[end].run.start < here.end {
            end += 1;
        }
        *side(&mut runs[run]) = Beside {
            first: first as u32,
            end: end as u32,
        };
    }
}

/// Cut a walk into simple, closed rings at the corners that it passes twice. The ring with the last corner of the walk, where
/// it began, comes last.
fn split(turns: &[Turn]) -> Vec<Ring> {
    if !turns.iter().any(|turn| turn.pinch) {
        return vec![closed(turns)];
    }
    let mut rings = Vec::new();
    let mut open: Vec<Turn> = Vec::new();
    let mut pinches: FxHashMap<Vertex, usize> = FxHashMap::default();
    for &turn in turns {
        if turn.pinch
            && let Some(start) = pinches.insert(turn.vertex, open.len())
        {
            for passed in open[start..].iter().filter(|passed| passed.pinch) {
                pinches.remove(&passed.vertex);
            }
            rings.push(closed(&open[start..]));
            open.truncate(start);
            pinches.insert(turn.vertex, start);
        }
        open.push(turn);
    }
    rings.push(closed(&open));
    rings
}

fn closed(turns: &[Turn]) -> Ring {
    let vertices = turns.iter().chain(&turns[..1]);
    vertices.map(|turn| turn.vertex).collect()
}
