//! The overlaps of two label images of one scene: the table behind IoU, average precision, PQ and AJI.

use ndarray::parallel::prelude::*;
use ndarray::{ArrayView2, Axis};

use crate::Error;
use crate::interrupt;
use crate::labels::by_label::ByLabel;
use crate::runs::{for_each_pair_of_runs, rows_of};

/// The approximate number of pixels that are counted together.
const PART: usize = 1 << 18;

/// The number of bits of a pair's place in the counter.
const PLACE_BITS: u32 = 12;

/// One cell of the contingency table: two labels, and the number of pixels that have both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// Label in the first image.
    pub a: u32,
    /// Label in the second image.
    pub b: u32,
    /// Pixels with both, at least 1.
    pub pixels: u64,
}

/// The contingency table of two label images without background, in coordinate form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlaps {
    /// The instances of the first image.
    pub a: Instances,
    /// The instances of the second image.
    pub b: Instances,
    /// The places of the two instances of each pair that shares pixels, sorted.
    pub pairs: Vec<[usize; 2]>,
    /// The number of pixels that each pair shares.
    pub pixels: Vec<u64>,
}

/// The instances of one image, labels ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instances {
    /// Their labels.
    pub labels: Vec<u32>,
    /// Their areas in pixels.
    pub areas: Vec<u64>,
}

/// Find the instances of two label images, and the number of shared pixels of each pair that overlaps.
///
/// # Errors
///
/// If the shapes differ.
pub fn overlaps(a: ArrayView2<'_, u32>, b: ArrayView2<'_, u32>) -> Result<Overlaps, Error> {
    let cells = contingency(a, b)?;
    let (a, places_a) = instances(&cells, a.len(), |cell| cell.a);
    let (b, places_b) = instances(&cells, b.len(), |cell| cell.b);
    let shared = || cells.iter().filter(|cell| cell.a != 0 && cell.b != 0);
    Ok(Overlaps {
        a,
        b,
        pairs: shared()
            .map(|cell| [places_a.get(cell.a), places_b.get(cell.b)])
            .collect(),
        pixels: shared().map(|cell| cell.pixels).collect(),
    })
}

/// Count the pixels of every pair of labels that occurs, background included, sorted by (a, b).
///
/// Memory is roughly proportional to the number of pairs that occur, for labels of any size.
///
/// # Errors
///
/// If the shapes differ.
pub fn contingency(a: ArrayView2<'_, u32>, b: ArrayView2<'_, u32>) -> Result<Vec<Cell>, Error> {
    if a.dim() != b.dim() {
        let ((rows, columns), (other_rows, other_columns)) = (a.dim(), b.dim());
        return Err(Error::Data(format!(
            "expected two label images of one shape, got {rows} x {columns} and {other_rows} x {other_columns}"
        )));
    }
    if a.is_empty() {
        return Ok(Vec::new());
    }
    let (a, b) = (a.as_standard_layout(), b.as_standard_layout());
    let rows = (PART / a.ncols()).max(1);
    let parts: Vec<Vec<Cell>> = a
        .axis_chunks_iter(Axis(0), rows)
        .into_par_iter()
        .zip(b.axis_chunks_iter(Axis(0), rows))
        .map(|(a, b)| count(a, b))
        .collect();
    let mut cells = parts.concat();
    add_up(&mut cells);
    Ok(cells)
}

/// The labels of a cell as one number, in the order of the table.
fn pair(cell: &Cell) -> u64 {
    u64::from(cell.a) << 32 | u64::from(cell.b)
}

fn count(a: ArrayView2<'_, u32>, b: ArrayView2<'_, u32>) -> Vec<Cell> {
    let mut counter = Counter::new();
    for (a, b) in rows_of(a).zip(rows_of(b)) {
        interrupt::check();
        for_each_pair_of_runs(a, b, |a, b, pixels| {
            let pixels = pixels as u64;
            counter.add(Cell { a, b, pixels });
        });
    }
    counter.finish()
}

/// Adds up runs of recurring pairs. The labels of a pair determine its place; a pair is listed when another one takes its
/// place. This is as fast as a hash map for few pairs, and far faster for many.
struct Counter {
    places: Vec<Cell>,
    listed: Vec<Cell>,
}

impl Counter {
    fn new() -> Self {
        Self {
            places: vec![Cell::default(); 1 << PLACE_BITS],
            listed: Vec::new(),
        }
    }

    fn add(&mut self, run: Cell) {
        // The golden ratio as a fraction of 2^64 spreads consecutive numbers.
        let spread = pair(&run).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = &mut self.places[(spread >> (u64::BITS - PLACE_BITS)) as usize];
        if (place.a, place.b) == (run.a, run.b) {
            place.pixels += run.pixels;
            return;
        }
        if place.pixels > 0 {
            self.listed.push(*place);
        }
        *place = run;
    }

    fn finish(mut self) -> Vec<Cell> {
        self.listed
            .extend(self.places.iter().filter(|cell| cell.pixels > 0));
        self.listed
    }
}

/// Sort cells by pair and merge the cells of each pair.
fn add_up(cells: &mut Vec<Cell>) {
    sort(cells);
    cells.dedup_by(|cell, before| {
        let same = pair(cell) == pair(before);
        if same {
            before.pixels += cell.pixels;
        }
        same
    });
}

/// Sort by pair with a radix sort, from the lowest digit on. Bits that are equal in all pairs are skipped.
fn sort(cells: &mut Vec<Cell>) {
    const DIGIT_BITS: u32 = 11;
    let first = cells.first().map(pair).unwrap_or_default();
    let varying = cells
        .iter()
        .fold(0, |bits, cell| bits | (pair(cell) ^ first));
    let mut sorted = vec![Cell::default(); cells.len()];
    let mut shift = varying.trailing_zeros();
    while shift < u64::BITS {
        let digit = |cell: &Cell| (pair(cell) >> shift) as usize & ((1 << DIGIT_BITS) - 1);
        let mut places = [0; 1 << DIGIT_BITS];
        cells.iter().for_each(|cell| places[digit(cell)] += 1);
        let mut end = 0;
        for place in &mut places {
            end += std::mem::replace(place, end);
        }
        for cell in cells.iter() {
            let place = &mut places[digit(cell)];
            sorted[*place] = *cell;
            *place += 1;
        }
        std::mem::swap(cells, &mut sorted);
        shift += DIGIT_BITS;
        shift += varying
            .checked_shr(shift)
            .unwrap_or_default()
            .trailing_zeros();
    }
}

/// The instances of the image whose labels `label` gives, and the place of each label among them.
fn instances(
    cells: &[Cell],
    pixels: usize,
    label: impl Fn(&Cell) -> u32,
) -> (Instances, ByLabel<usize>) {
    let mut areas = ByLabel::<u64>::new(pixels);
    let mut labels = Vec::new();
    for cell in cells {
        let area = areas.slot(label(cell));
        if *area == 0 && label(cell) != 0 {
            labels.push(label(cell));
        }
        *area += cell.pixels;
    }
    labels.sort_unstable();
    let mut places = ByLabel::<usize>::new(pixels);
    for (place, &label) in labels.iter().enumerate() {
        *places.slot(label) = place;
    }
    let areas = labels.iter().map(|&label| areas.get(label)).collect();
    (Instances { labels, areas }, places)
}
