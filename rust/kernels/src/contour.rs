//! Outlines of nuclei along pixel edges, so that rasterising them gives back exactly the label image.
//!
//! The pixel of row r and column c covers [c, c + 1] x [r, r + 1] in (x, y). Every 4-connected piece of a nucleus is one
//! polygon: an exterior ring with a positive signed area (shoelace formula in x and y as they are, so clockwise to the
//! eye where y points down) and holes with a negative one. Rings are closed, turn at every vertex and are simple: where
//! a ring would touch itself at a pixel's corner, it is split in two. A hole may touch the exterior or another hole in
//! single points, as simple-features geometry allows.

use std::collections::{BTreeMap, HashMap};

use ndarray::{Array2, ArrayView2};
use thiserror::Error;

use crate::components::{self, Connectivity};
use crate::runs::for_each_difference;

/// Corner of a pixel, x then y.
pub type Vertex = [i32; 2];

/// Closed sequence of corners: the last one is the first again.
pub type Ring = Vec<Vertex>;

/// Why outlines could not be traced.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "labels: expected at most 2^31 - 1 pixels a side and 2^32 - 1 in all, got {rows} x {columns}"
)]
pub struct ContourError {
    /// Height given.
    pub rows: usize,
    /// Width given.
    pub columns: usize,
}

/// One 4-connected piece of a nucleus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Polygon {
    /// Its outer ring.
    pub exterior: Ring,
    /// What it encloses without being it.
    pub holes: Vec<Ring>,
}

/// All pieces of one nucleus, by raster order of their first pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// Its number in the label image.
    pub label: u32,
    /// Its pieces.
    pub polygons: Vec<Polygon>,
}

/// Trace every nucleus of a label image in one pass; labels ascending, 0 is background.
///
/// # Errors
/// If the image is too large for 32-bit coordinates and numbers of pieces.
pub fn contours(labels: ArrayView2<'_, u32>) -> Result<Vec<Outline>, ContourError> {
    let (rows, columns) = labels.dim();
    if rows.max(columns) > i32::MAX as usize || labels.len() > u32::MAX as usize {
        return Err(ContourError { rows, columns });
    }
    let labels = labels.as_standard_layout();
    let mut tracer = Tracer::new(labels.view());
    let mut above: &[u32] = &vec![0; columns];
    for (row, here) in labels.rows().into_iter().enumerate() {
        let here = here.to_slice().expect("a row lies in one piece");
        // Every ring has a top edge, and the first of them starts it.
        for_each_difference(above, here, |column| {
            if here[column] != 0 {
                tracer.visit(row, column, here[column]);
            }
        });
        above = here;
    }
    let mut outlines: BTreeMap<u32, Vec<Polygon>> = BTreeMap::new();
    for (label, polygon) in tracer.pieces {
        outlines.entry(label).or_default().push(polygon);
    }
    Ok(outlines
        .into_iter()
        .map(|(label, polygons)| Outline { label, polygons })
        .collect())
}

/// Directions of a walk that keeps the nucleus on its right (to the eye): along the top, right, bottom, left edge of a
/// pixel. Turning right is the next one.
pub(crate) const STEPS: [[isize; 2]; 4] = [[0, 1], [1, 0], [0, -1], [-1, 0]];

/// Row and column, from a pixel's own, of the corner where a walk along each edge ends.
const ENDS: [[usize; 2]; 4] = [[0, 1], [1, 1], [1, 0], [0, 0]];

/// A vertex of a walk; at a pinch the same nucleus also holds the pixel across the corner, so the walk may come again.
#[derive(Debug, Clone, Copy)]
struct Turn {
    vertex: Vertex,
    pinch: bool,
}

struct Tracer<'a> {
    labels: ArrayView2<'a, u32>,
    /// For every pixel the number of its piece, counted from 1 by raster order of their first pixels.
    piece_of: Array2<u32>,
    /// Whether a walk came along the top edge of a pixel.
    walked: Vec<bool>,
    pieces: Vec<(u32, Polygon)>,
}

impl<'a> Tracer<'a> {
    fn new(labels: ArrayView2<'a, u32>) -> Self {
        let mut piece_of = Array2::zeros(labels.dim());
        components::label(labels, Connectivity::Four, piece_of.view_mut())
            .expect("of one shape, and the pixels were counted");
        Self {
            labels,
            piece_of,
            walked: vec![false; labels.len()],
            pieces: Vec::new(),
        }
    }

    fn index(&self, row: usize, column: usize) -> usize {
        row * self.labels.ncols() + column
    }

    /// The pixel a step away, if it has this label.
    fn step(&self, from: [usize; 2], step: [isize; 2], label: u32) -> Option<[usize; 2]> {
        let row = from[0].checked_add_signed(step[0])?;
        let column = from[1].checked_add_signed(step[1])?;
        (self.labels.get([row, column]) == Some(&label)).then_some([row, column])
    }

    /// Look at the next pixel, in raster order, that has a top edge.
    fn visit(&mut self, row: usize, column: usize, label: u32) {
        let piece = self.piece_of[[row, column]] as usize;
        let is_new = piece > self.pieces.len();
        if is_new {
            self.pieces.push((
                label,
                Polygon {
                    exterior: Ring::new(),
                    holes: Vec::new(),
                },
            ));
        }
        if self.walked[self.index(row, column)] {
            return;
        }
        let mut rings = split(self.walk([row, column], label));
        let polygon = &mut self.pieces[piece - 1].1;
        if is_new {
            // The ring through a piece's first pixel is its exterior; it is the one that closes last.
            polygon.exterior = rings.pop().expect("a walk has at least one ring");
        }
        polygon.holes.append(&mut rings);
    }

    /// Walk along the edges of a piece from the top edge of a pixel until there again. Pixels across a corner are not
    /// connected, so the walk turns right there.
    fn walk(&mut self, start: [usize; 2], label: u32) -> Vec<Turn> {
        let mut turns = Vec::new();
        let (mut pixel, mut direction) = (start, 0);
        loop {
            if direction == 0 {
                let index = self.index(pixel[0], pixel[1]);
                self.walked[index] = true;
            }
            let [down, right] = ENDS[direction];
            let vertex = [(pixel[1] + right) as i32, (pixel[0] + down) as i32];
            let left = (direction + 3) % 4;
            let [ahead, beside] = [STEPS[direction], STEPS[left]];
            let across = self.step(pixel, [ahead[0] + beside[0], ahead[1] + beside[1]], label);
            let ahead = self.step(pixel, ahead, label);
            match (ahead, across) {
                (None, across) => {
                    direction = (direction + 1) % 4;
                    turns.push(Turn {
                        vertex,
                        pinch: across.is_some(),
                    });
                }
                (Some(next), None) => pixel = next,
                (Some(_), Some(next)) => {
                    (pixel, direction) = (next, left);
                    turns.push(Turn {
                        vertex,
                        pinch: false,
                    });
                }
            }
            if (pixel, direction) == (start, 0) {
                // The last turn is at the starting corner, which is a corner because the walk began at the first
                // top edge of its ring.
                return turns;
            }
        }
    }
}

/// Cut a walk into simple, closed rings wherever it comes to the same corner again. The ring with the walk's last
/// corner, where it began, comes last.
fn split(turns: Vec<Turn>) -> Vec<Ring> {
    let mut rings = Vec::new();
    let mut open: Vec<Turn> = Vec::new();
    let mut pinches: HashMap<Vertex, usize> = HashMap::new();
    for turn in turns {
        if turn.pinch
            && let Some(start) = pinches.insert(turn.vertex, open.len())
        {
            let ring = open.split_off(start);
            for passed in ring.iter().filter(|passed| passed.pinch) {
                pinches.remove(&passed.vertex);
            }
            rings.push(closed(&ring));
            pinches.insert(turn.vertex, open.len());
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
