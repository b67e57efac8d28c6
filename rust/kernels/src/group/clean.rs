//! The cleaning of each nucleus: its largest piece is kept, its holes are filled, and small or weak nuclei are dropped.
//!
//! Cleaning a nucleus looks at the owners of the pixels in its bounding box before any cleaning, never at the results of
//! other nuclei. So a block that contains a whole nucleus can clean it alone.

use ndarray::{ArrayView2, ArrayView3};
use rayon::prelude::*;

use super::centre::Centre;
use super::config::GroupConfig;
use super::quality::{self, Measurements};
use crate::interrupt;
use crate::runs::{Run, find_runs, row_of, rows_of};

/// One nucleus after cleaning.
#[derive(Debug)]
pub(super) struct Nucleus {
    /// The index of its centre.
    pub(super) owner: usize,
    /// The runs of its pixels in raster order; their values are rows.
    pub(super) runs: Vec<Run<usize>>,
    /// What its quality is estimated from.
    pub(super) measurements: Measurements,
    /// The estimate, if a function was learned.
    pub(super) quality: Option<f32>,
}

impl Nucleus {
    pub(super) fn first_pixel(&self) -> (usize, u32) {
        (self.runs[0].value, self.runs[0].start)
    }
}

/// The nuclei that stay, in the order of their centres.
pub(super) fn clean(
    maps: ArrayView3<'_, u8>,
    owners: ArrayView2<'_, u32>,
    centres: &[Centre],
    config: &GroupConfig,
) -> Vec<Nucleus> {
    bounding_boxes(owners, centres.len())
        .into_par_iter()
        .enumerate()
        .filter(|(owner, _)| centres[*owner].heat >= config.least_peak())
        .filter_map(|(owner, bounds)| {
            interrupt::check();
            let (bounds, label) = (bounds?, owner as u32 + 1);
            let runs = solid_runs(owners, label, bounds)
                .unwrap_or_else(|| Window::new(owners, label, bounds).runs());
            measured(maps, owner, runs, &centres[owner], config)
        })
        .collect()
}

/// The nucleus with its score and measurements; `None` if it is too small, too weak or likely to be wrong.
fn measured(
    maps: ArrayView3<'_, u8>,
    owner: usize,
    runs: Vec<Run<usize>>,
    centre: &Centre,
    config: &GroupConfig,
) -> Option<Nucleus> {
    let area: u64 = runs.iter().map(|run| run.columns().len() as u64).sum();
    if area < config.min_area {
        return None;
    }
    let measurements = quality::measure(maps, &runs, centre, config);
    let [score, ..] = measurements;
    if score < config.min_score {
        return None;
    }
    let quality = config.quality.map(|score| score.estimate(&measurements));
    let is_low = quality.is_some_and(|it| it < config.min_quality as f32);
    (!is_low).then_some(Nucleus {
        owner,
        runs,
        measurements,
        quality,
    })
}

/// The first and the last row and column of a nucleus, both inclusive.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    rows: (usize, usize),
    columns: (usize, usize),
}

fn bounding_boxes(owners: ArrayView2<'_, u32>, count: usize) -> Vec<Option<Bounds>> {
    let mut boxes: Vec<Option<Bounds>> = vec![None; count];
    let mut runs: Vec<Run<u32>> = Vec::new();
    for (row, pixels) in rows_of(owners).enumerate() {
        interrupt::check();
        runs.clear();
        find_runs(pixels, &mut runs);
        for run in &runs {
            let (first, last) = (run.columns().start, run.columns().end - 1);
            let bounds = boxes[run.value as usize - 1].get_or_insert(Bounds {
                rows: (row, row),
                columns: (first, last),
            });
            bounds.rows.1 = row;
            bounds.columns.0 = bounds.columns.0.min(first);
            bounds.columns.1 = bounds.columns.1.max(last);
        }
    }
    boxes
}

/// The runs of a nucleus that needs no cleaning: one run in each row, which touches that of the row above. Such a nucleus is
/// one piece, and no row has pixels on both sides of a hole.
fn solid_runs(owners: ArrayView2<'_, u32>, label: u32, bounds: Bounds) -> Option<Vec<Run<usize>>> {
    let (left, right) = bounds.columns;
    let mut runs: Vec<Run<usize>> = Vec::with_capacity(bounds.rows.1 - bounds.rows.0 + 1);
    for row in bounds.rows.0..=bounds.rows.1 {
        let pixels = &row_of(owners, row)[left..=right];
        let start = pixels.iter().position(|&owner| owner == label)?;
        let length = pixels[start..]
            .iter()
            .take_while(|&&owner| owner == label)
            .count();
        if pixels[start + length..].contains(&label) {
            return None;
        }
        let run = Run {
            start: (left + start) as u32,
            end: (left + start + length) as u32,
            value: row,
        };
        if runs
            .last()
            .is_some_and(|above| above.end <= run.start || run.end <= above.start)
        {
            return None;
        }
        runs.push(run);
    }
    Some(runs)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pixel {
    /// Of no nucleus, or of a smaller piece of this nucleus.
    Free,
    /// Of this nucleus, not visited yet.
    Own,
    /// Of another nucleus.
    Other,
    /// Of the largest piece.
    Main,
    /// Of a filled hole of this nucleus.
    Filled,
    /// Not enclosed by this nucleus.
    Outside,
}

/// The bounding box of a nucleus with a rim of one pixel, so that no step leaves it.
struct Window {
    top: usize,
    left: usize,
    width: usize,
    pixels: Vec<Pixel>,
}

impl Window {
    fn new(owners: ArrayView2<'_, u32>, owner: u32, bounds: Bounds) -> Self {
        let (top, left) = (bounds.rows.0, bounds.columns.0);
        let width = bounds.columns.1 - left + 3;
        let height = bounds.rows.1 - top + 3;
        let mut pixels = vec![Pixel::Outside; width * height];
        for row in top..=bounds.rows.1 {
            for column in left..=bounds.columns.1 {
                pixels[(row - top + 1) * width + column - left + 1] = match owners[[row, column]] {
                    0 => Pixel::Free,
                    found if found == owner => Pixel::Own,
                    _ => Pixel::Other,
                };
            }
        }
        Self {
            top,
            left,
            width,
            pixels,
        }
    }

    /// The runs of the cleaned nucleus.
    fn runs(mut self) -> Vec<Run<usize>> {
        self.keep_largest_piece();
        self.flood_outside();
        self.fill_holes();
        self.rows().flat_map(|row| self.runs_of_row(row)).collect()
    }

    /// The rows of the window without its rim.
    fn rows(&self) -> std::ops::Range<usize> {
        1..self.pixels.len() / self.width - 1
    }

    /// The four neighbours across edges.
    fn beside(&self, pixel: usize) -> [usize; 4] {
        [pixel - self.width, pixel - 1, pixel + 1, pixel + self.width]
    }

    /// The eight neighbours across edges and corners.
    fn around(&self, pixel: usize) -> [usize; 8] {
        let (above, below) = (pixel - self.width, pixel + self.width);
        [
            above - 1,
            above,
            above + 1,
            pixel - 1,
            pixel + 1,
            below - 1,
            below,
            below + 1,
        ]
    }

    /// Mark the largest piece, of equally large ones the first in raster order, and free the others.
    fn keep_largest_piece(&mut self) {
        let mut largest = Vec::new();
        for start in 0..self.pixels.len() {
            if self.pixels[start] != Pixel::Own {
                continue;
            }
            self.pixels[start] = Pixel::Free;
            let mut piece = vec![start];
            let mut next = 0;
            while next < piece.len() {
                for pixel in self.beside(piece[next]) {
                    if self.pixels[pixel] == Pixel::Own {
                        self.pixels[pixel] = Pixel::Free;
                        piece.push(pixel);
                    }
                }
                next += 1;
            }
            if piece.len() > largest.len() {
                largest = piece;
            }
        }
        for pixel in largest {
            self.pixels[pixel] = Pixel::Main;
        }
    }

    /// Mark the pixels that the largest piece does not enclose: those that are 8-connected to the rim.
    fn flood_outside(&mut self) {
        let passable = |pixel: Pixel| matches!(pixel, Pixel::Free | Pixel::Other);
        let last_row = self.rows().end - 1;
        let mut stack = Vec::new();
        for row in self.rows() {
            let inner = row != 1 && row != last_row;
            let step = if inner { (self.width - 3).max(1) } else { 1 };
            stack.extend((row * self.width + 1..(row + 1) * self.width - 1).step_by(step));
        }
        stack.retain(|&pixel| passable(self.pixels[pixel]));
        for &pixel in &stack {
            self.pixels[pixel] = Pixel::Outside;
        }
        self.flood(stack, passable, Pixel::Outside);
    }

    /// Fill the enclosed regions that touch the largest piece. A region behind another nucleus stays as it is.
    fn fill_holes(&mut self) {
        let stack: Vec<usize> = (0..self.pixels.len())
            .filter(|&pixel| {
                self.pixels[pixel] == Pixel::Free
                    && self
                        .around(pixel)
                        .iter()
                        .any(|&beside| self.pixels[beside] == Pixel::Main)
            })
            .collect();
        for &pixel in &stack {
            self.pixels[pixel] = Pixel::Filled;
        }
        self.flood(stack, |pixel| pixel == Pixel::Free, Pixel::Filled);
    }

    /// Spread a mark from marked pixels to all connected pixels that `passes` accepts.
    fn flood(&mut self, mut stack: Vec<usize>, passes: impl Fn(Pixel) -> bool, mark: Pixel) {
        while let Some(pixel) = stack.pop() {
            for beside in self.around(pixel) {
                if passes(self.pixels[beside]) {
                    self.pixels[beside] = mark;
                    stack.push(beside);
                }
            }
        }
    }

    fn runs_of_row(&self, row: usize) -> Vec<Run<usize>> {
        let line = &self.pixels[row * self.width..][..self.width];
        let mut column = 0;
        line.chunk_by(|one, other| is_nucleus(*one) == is_nucleus(*other))
            .filter_map(|chunk| {
                let start = column;
                column += chunk.len();
                is_nucleus(chunk[0]).then(|| Run {
                    start: (self.left + start - 1) as u32,
                    end: (self.left + column - 1) as u32,
                    value: self.top + row - 1,
                })
            })
            .collect()
    }
}

fn is_nucleus(pixel: Pixel) -> bool {
    matches!(pixel, Pixel::Main | Pixel::Filled)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_solid_nucleus_is_what_cleaning_leaves_of_it(
            columns in 1_usize..7,
            pixels in proptest::collection::vec(prop_oneof![3 => Just(1_u32), 1 => Just(0), 1 => Just(2)], 1..36),
        ) {
            let rows = pixels.len() / columns;
            prop_assume!(rows > 0);
            let owners = Array2::from_shape_vec((rows, columns), pixels[..rows * columns].to_vec()).unwrap();
            for (label, bounds) in (1..).zip(bounding_boxes(owners.view(), 2)) {
                let Some(bounds) = bounds else { continue };
                let Some(solid) = solid_runs(owners.view(), label, bounds) else { continue };
                let plain = |runs: Vec<Run<usize>>| -> Vec<_> {
                    runs.into_iter().map(|run| (run.value, run.start, run.end)).collect()
                };
                prop_assert_eq!(plain(solid), plain(Window::new(owners.view(), label, bounds).runs()));
            }
        }
    }
}
