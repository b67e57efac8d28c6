//! Shape of every nucleus of a label image: the ellipse of its second moments, its perimeter, its convex hull.
//!
//! All sums are of integers, so they are exact in any order and for any place of the nucleus.

use std::f64::consts::{FRAC_PI_4, SQRT_2};

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::Error;
use crate::interrupt;
use crate::labels::by_label::ByLabel;
use crate::runs::{Run, find_runs, rows_of};
use crate::shape::hull::{Extent, Hull};
use crate::shape::measure::check;

/// The number of rows whose runs are in memory at a time.
const BATCH: usize = 256;

/// The shape of one nucleus, in pixels and radians.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// The label of the nucleus.
    pub label: u32,
    /// The number of its pixels.
    pub area: u64,
    /// Lengths of the longer and the shorter axis of the ellipse with the same second moments.
    pub axis_lengths: [f64; 2],
    /// The eccentricity of that ellipse: 0 for a circle, near 1 for a line.
    pub eccentricity: f64,
    /// The counter-clockwise angle from the axis of rows to the longer axis, from -pi/2 to pi/2.
    pub orientation: f64,
    /// Length of the line through the centres of its border pixels.
    pub perimeter: f64,
    /// Area of the convex hull of its pixels' squares.
    pub convex_area: f64,
    /// The greatest and the least distance of two parallel lines that enclose the hull.
    pub feret_diameters: [f64; 2],
    /// The least and the greatest value of the intensity image over the nucleus, if there is such an image.
    pub intensity_range: Option<[f32; 2]>,
}

/// Measure the shape of every label present, ascending; 0 is background.
///
/// The perimeter is that of Benkrid and Crookes (2000) over 4-connected border pixels, as in scikit-image.
///
/// # Errors
/// If the intensity image has another shape than the label image, or the label image is too wide.
pub fn shapes(
    labels: ArrayView2<'_, u32>,
    intensity: Option<ArrayView2<'_, f32>>,
) -> Result<Vec<Shape>, Error> {
    check(labels, intensity)?;
    let height = labels.nrows();
    let labels = labels.as_standard_layout();
    let rows: Vec<&[u32]> = rows_of(labels.view()).collect();
    let mut gathered = Gathered::new(labels.len());
    for first in (0..height).step_by(BATCH) {
        let end = height.min(first + BATCH);
        // The rows beside the batch are included, as pixels look at their neighbours.
        let top = first.saturating_sub(1);
        let borders: Vec<Vec<bool>> = (top..height.min(end + 1))
            .into_par_iter()
            .map(|row| border_pixels(&rows, row))
            .collect();
        let batch = Batch {
            rows: &rows,
            borders: &borders,
            top,
        };
        let found: Vec<Vec<RunShape>> = (first..end)
            .into_par_iter()
            .map(|row| batch.runs_of_row(row, intensity))
            .collect();
        for (row, runs) in (first..).zip(&found) {
            runs.iter().for_each(|run| gathered.add(row, run));
        }
    }
    Ok(gathered.shapes(intensity.is_some()))
}

/// For each pixel of a row, whether it shares an edge with another label, with background or with the outside.
fn border_pixels(rows: &[&[u32]], row: usize) -> Vec<bool> {
    interrupt::check();
    let here = rows[row];
    if row == 0 || row + 1 == rows.len() {
        return here.iter().map(|&label| label != 0).collect();
    }
    let (above, below) = (rows[row - 1], rows[row + 1]);
    let is_border = |column: usize| {
        let label = here[column];
        label != 0
            && (column == 0
                || here[column - 1] != label
                || here.get(column + 1) != Some(&label)
                || above[column] != label
                || below[column] != label)
    };
    (0..here.len()).map(is_border).collect()
}

/// Some rows, with the border pixels of these rows and of the rows beside them.
struct Batch<'a> {
    rows: &'a [&'a [u32]],
    borders: &'a [Vec<bool>],
    /// The row of the first entry of `borders`.
    top: usize,
}

impl Batch<'_> {
    fn runs_of_row(&self, row: usize, intensity: Option<ArrayView2<'_, f32>>) -> Vec<RunShape> {
        interrupt::check();
        let mut runs: Vec<Run<u32>> = Vec::new();
        find_runs(self.rows[row], &mut runs);
        let shape = |run: Run<u32>| RunShape {
            run,
            steps: self.steps(row, &run),
            range: intensity.map_or([f32::NAN; 2], |image| {
                let values = || run.columns().map(|column| image[[row, column]]);
                [
                    extreme(values(), |one, other| one < other),
                    extreme(values(), |one, other| one > other),
                ]
            }),
        };
        runs.into_iter().map(shape).collect()
    }

    /// Count the border pixels of a run by the steps of the border there: straight, diagonal, or one of each.
    fn steps(&self, row: usize, run: &Run<u32>) -> [u32; 3] {
        let mut steps = [0; 3];
        let border = &self.borders[row - self.top];
        for column in run.columns().filter(|&column| border[column]) {
            let is_same =
                |down: isize, right: isize| self.is_same(row, column, down, right, run.value);
            let straight =
                [(-1, 0), (0, -1), (0, 1), (1, 0)].map(|(down, right)| is_same(down, right));
            let diagonal =
                [(-1, -1), (-1, 1), (1, -1), (1, 1)].map(|(down, right)| is_same(down, right));
            let count =
                |neighbours: [bool; 4]| neighbours.into_iter().filter(|&there| there).count();
            match (count(straight), count(diagonal)) {
                (2 | 3, 0..=2) => steps[0] += 1,
                (0, 2) | (1, 3) => steps[1] += 1,
                (1, 1 | 2) => steps[2] += 1,
                _ => (),
            }
        }
        steps
    }

    /// Whether a neighbour is a border pixel of the same label.
    fn is_same(&self, row: usize, column: usize, down: isize, right: isize, label: u32) -> bool {
        let place = row
            .checked_add_signed(down)
            .zip(column.checked_add_signed(right));
        place.is_some_and(|(row, column)| {
            self.rows.get(row).and_then(|pixels| pixels.get(column)) == Some(&label)
                && self.borders[row - self.top][column]
        })
    }
}

/// The extreme value; not-a-number if any value is.
fn extreme(values: impl Iterator<Item = f32>, is_further: impl Fn(f32, f32) -> bool) -> f32 {
    values
        .reduce(|most, value| {
            if is_further(value, most) || value.is_nan() {
                value
            } else {
                most
            }
        })
        .unwrap_or(f32::NAN)
}

/// A run with the shape of its pixels.
struct RunShape {
    run: Run<u32>,
    steps: [u32; 3],
    range: [f32; 2],
}

/// The sums over the pixels of one nucleus.
struct Totals {
    label: u32,
    area: i128,
    rows: i128,
    columns: i128,
    squared_rows: i128,
    squared_columns: i128,
    products: i128,
    steps: [u64; 3],
    range: [f32; 2],
    /// The place of its latest extent; beyond all places before there is one.
    latest: usize,
}

/// All nuclei found so far.
struct Gathered {
    totals: Vec<Totals>,
    /// The place in `totals` plus 1; 0 for a new label.
    places: ByLabel<u32>,
    /// The extents by row, with the places of their nuclei.
    extents: Vec<(u32, Extent)>,
}

impl Gathered {
    fn new(pixels: usize) -> Self {
        Self {
            totals: Vec::new(),
            places: ByLabel::new(pixels),
            extents: Vec::new(),
        }
    }

    fn add(&mut self, row: usize, shape: &RunShape) {
        let run = &shape.run;
        let place = self.places.slot(run.value);
        if *place == 0 {
            self.totals.push(Totals::of(run.value, shape.range));
            *place = self.totals.len() as u32;
        }
        let place = *place - 1;
        let totals = &mut self.totals[place as usize];
        totals.add(row, shape);
        match self.extents.get_mut(totals.latest) {
            Some((_, extent)) if extent.row == row => extent.right = run.end,
            _ => {
                totals.latest = self.extents.len();
                self.extents.push((
                    place,
                    Extent {
                        row,
                        left: run.start,
                        right: run.end,
                    },
                ));
            }
        }
    }

    fn shapes(self, with_range: bool) -> Vec<Shape> {
        let mut starts = vec![0; self.totals.len() + 1];
        for (place, _) in &self.extents {
            starts[*place as usize + 1] += 1;
        }
        for place in 1..starts.len() {
            starts[place] += starts[place - 1];
        }
        let mut next = starts.clone();
        let mut extents = vec![Extent::default(); self.extents.len()];
        for (place, extent) in &self.extents {
            let next = &mut next[*place as usize];
            extents[*next] = *extent;
            *next += 1;
        }
        let mut shapes: Vec<Shape> = self
            .totals
            .par_iter()
            .enumerate()
            .map(|(place, totals)| {
                totals.shape(&extents[starts[place]..starts[place + 1]], with_range)
            })
            .collect();
        shapes.par_sort_unstable_by_key(|shape| shape.label);
        shapes
    }
}

impl Totals {
    fn of(label: u32, range: [f32; 2]) -> Self {
        Self {
            label,
            area: 0,
            rows: 0,
            columns: 0,
            squared_rows: 0,
            squared_columns: 0,
            products: 0,
            steps: [0; 3],
            range,
            latest: usize::MAX,
        }
    }

    fn add(&mut self, row: usize, shape: &RunShape) {
        let run = &shape.run;
        let (row, start, end) = (row as i128, i128::from(run.start), i128::from(run.end));
        let area = end - start;
        let columns = (start + end - 1) * area / 2;
        let squares_below = |end: i128| (end - 1) * end * (2 * end - 1) / 6;
        self.area += area;
        self.rows += area * row;
        self.columns += columns;
        self.squared_rows += area * row * row;
        self.squared_columns += squares_below(end) - squares_below(start);
        self.products += row * columns;
        for (sum, steps) in self.steps.iter_mut().zip(shape.steps) {
            *sum += u64::from(steps);
        }
        let [least, greatest] = shape.range;
        self.range = [
            extreme([self.range[0], least].into_iter(), |one, other| one < other),
            extreme([self.range[1], greatest].into_iter(), |one, other| {
                one > other
            }),
        ];
    }

    fn shape(&self, extents: &[Extent], with_range: bool) -> Shape {
        // The second central moments times the squared area are integers.
        let down = self.area * self.squared_rows - self.rows * self.rows;
        let right = self.area * self.squared_columns - self.columns * self.columns;
        let both = self.area * self.products - self.rows * self.columns;
        let scale = (self.area * self.area) as f64;
        let middle = (down + right) as f64 / scale / 2.0;
        let spread = ((down - right) as f64 / scale / 2.0).hypot(both as f64 / scale);
        let (longest, shortest) = (middle + spread, (middle - spread).max(0.0));
        let [straight, diagonal, mixed] = self.steps.map(|steps| steps as f64);
        let hull = Hull::new(extents);
        Shape {
            label: self.label,
            area: self.area as u64,
            axis_lengths: [longest, shortest].map(|moment| 4.0 * moment.sqrt()),
            eccentricity: if longest > 0.0 {
                (1.0 - shortest / longest).max(0.0).sqrt()
            } else {
                0.0
            },
            orientation: match (down == right, both > 0) {
                (false, _) => 0.5 * (2.0 * both as f64).atan2((down - right) as f64),
                (true, true) => FRAC_PI_4,
                (true, false) => -FRAC_PI_4,
            },
            perimeter: straight + diagonal * SQRT_2 + mixed * (1.0 + SQRT_2) / 2.0,
            convex_area: hull.area(),
            feret_diameters: hull.feret_diameters(),
            intensity_range: with_range.then_some(self.range),
        }
    }
}
