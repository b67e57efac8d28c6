//! The quality of a nucleus: its intersection over union with the true nucleus, estimated from what the maps show of it.
//!
//! The idea is that of Mask Scoring R-CNN: Huang et al. (2019), Mask Scoring R-CNN, <https://arxiv.org/abs/1903.00241>. Here
//! a logistic function of a quadratic function of six measurements estimates it, not a network. The sums behind the
//! measurements are integers, so they do not depend on the order of pixels.

use ndarray::ArrayView3;

use super::assign::{clipped, offset};
use super::centre::Centre;
use super::config::GroupConfig;
use super::{CHANNELS, FULL_HEAT};
use crate::Error;
use crate::runs::Run;

/// The number of measurements of a nucleus.
pub const MEASUREMENTS: usize = 6;

/// The number of weights: a constant, the measurements, and their products.
pub const TERMS: usize = 1 + MEASUREMENTS + MEASUREMENTS * (MEASUREMENTS + 1) / 2;

/// Standardised measurements are clipped, so that no unusual one decides alone. Python has the same value.
const CLIP: f64 = 4.0;

/// What the maps show of a nucleus.
///
/// Over its pixels: the mean foreground probability, the heat at the centre after smoothing, the mean heat, and the root of
/// the mean squared distance in pixels from where the offsets of its foreground pixels point to the centre. Then, over the
/// edges between its pixels and others, the mean foreground probability on the inner and on the outer side. A nucleus that
/// fills the image has no such edges: its mean probability stands for the inner side, and 0 for the outer one.
pub type Measurements = [f64; MEASUREMENTS];

/// A learned function of the measurements: the logistic function of a quadratic one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QualityScore {
    /// The mean of each measurement.
    pub mean: [f64; MEASUREMENTS],
    /// Their standard deviations.
    pub spread: [f64; MEASUREMENTS],
    /// The weights of a constant, of the standardised measurements, and of their products in the order 11, 12, ..., 22, ...
    pub weights: [f64; TERMS],
}

impl QualityScore {
    /// Check that the function gives numbers.
    ///
    /// # Errors
    /// [`Error::Setting`] if a number is not finite, or a standard deviation is not positive.
    pub fn validate(&self) -> Result<(), Error> {
        let mut numbers = self.mean.iter().chain(&self.spread).chain(&self.weights);
        if numbers.all(|number| number.is_finite()) && self.spread.iter().all(|&it| it > 0.0) {
            return Ok(());
        }
        Err(Error::Setting(
            "quality: expected finite numbers, and positive ones for spread".to_owned(),
        ))
    }

    /// The estimated intersection over union, 0 to 1.
    #[must_use]
    pub fn estimate(&self, measurements: &Measurements) -> f32 {
        let standardised: [f64; MEASUREMENTS] = std::array::from_fn(|index| {
            ((measurements[index] - self.mean[index]) / self.spread[index]).clamp(-CLIP, CLIP)
        });
        let products = (0..MEASUREMENTS)
            .flat_map(|one| (one..MEASUREMENTS).map(move |other| (one, other)))
            .map(|(one, other)| standardised[one] * standardised[other]);
        let terms = std::iter::once(1.0).chain(standardised).chain(products);
        let log_odds: f64 = terms
            .zip(self.weights)
            .map(|(term, weight)| term * weight)
            .sum();
        (1.0 / (1.0 + (-log_odds).exp())) as f32
    }
}

/// Measure a nucleus, given the runs of its pixels in raster order.
pub(super) fn measure(
    maps: ArrayView3<'_, u8>,
    runs: &[Run<usize>],
    centre: &Centre,
    config: &GroupConfig,
) -> Measurements {
    let (rows, columns, _) = maps.dim();
    let pixels = maps.as_slice().expect("maps are laid out row by row");
    let (pixels, _) = pixels.as_chunks::<CHANNELS>();
    let row_of = |row: usize| &pixels[row * columns..(row + 1) * columns];
    let mut inner = Inner::default();
    let mut edges = Edges::default();
    let lines: Vec<&[Run<usize>]> = runs
        .chunk_by(|one, other| one.value == other.value)
        .collect();
    for (index, line) in lines.iter().enumerate() {
        let row = line[0].value;
        let here = row_of(row);
        for run in *line {
            inner.add(row, run, here, centre, config);
            edges.add_ends(run, here);
        }
        let beside = [
            (index.checked_sub(1), row.checked_sub(1)),
            (Some(index + 1), (row + 1 < rows).then_some(row + 1)),
        ];
        for (place, beside) in beside {
            let Some(beside) = beside else { continue };
            let neighbours = place
                .and_then(|place| lines.get(place))
                .filter(|runs| runs[0].value == beside)
                .map_or(&[][..], |runs| runs);
            for run in *line {
                uncovered(run, neighbours, |columns| {
                    edges.add(&here[columns.clone()], &row_of(beside)[columns]);
                });
            }
        }
    }
    let mean = |sum: u64, count: u64| sum as f64 / (255 * count.max(1)) as f64;
    // From half pixels to pixels.
    let distance = (inner.squared as f64 / inner.pointing.max(1) as f64).sqrt() / 2.0;
    let probability = mean(inner.foreground, inner.area);
    let inside = if edges.count == 0 {
        probability
    } else {
        mean(edges.inside, edges.count)
    };
    [
        probability,
        f64::from(centre.heat) / f64::from(FULL_HEAT),
        mean(inner.heat, inner.area),
        distance,
        inside,
        mean(edges.outside, edges.count),
    ]
}

/// Sums over the pixels of a nucleus.
#[derive(Default)]
struct Inner {
    area: u64,
    foreground: u64,
    heat: u64,
    /// The number of foreground pixels. Most pixels of filled holes are background, whose offsets mean nothing.
    pointing: u64,
    /// The squared distances, in half pixels, from where the offsets of these pixels end to the centre.
    squared: u64,
}

impl Inner {
    fn add(
        &mut self,
        row: usize,
        run: &Run<usize>,
        pixels: &[[u8; CHANNELS]],
        centre: &Centre,
        config: &GroupConfig,
    ) {
        let (least, clip) = (config.least_foreground(), clipped(config));
        let down = 2 * (centre.row as i64 - row as i64) as i32;
        let right = 2 * (centre.column as i64 - run.columns().start as i64) as i32;
        // A nucleus is at most 2 * (64 + 128) + 1 pixels wide, so 32 bits hold the sums of a run.
        let [mut foreground, mut heat, mut pointing, mut squared] = [0_u32; 4];
        for (step, pixel) in (0..).step_by(2).zip(&pixels[run.columns()]) {
            foreground += u32::from(pixel[0]);
            heat += u32::from(pixel[1]);
            let rows = down - offset(pixel[2], clip);
            let columns = right - step - offset(pixel[3], clip);
            let points = u32::from(u32::from(pixel[0]) >= least);
            pointing += points;
            squared += points * (rows * rows + columns * columns) as u32;
        }
        self.area += run.columns().len() as u64;
        self.foreground += u64::from(foreground);
        self.heat += u64::from(heat);
        self.pointing += u64::from(pointing);
        self.squared += u64::from(squared);
    }
}

/// Sums over the edges between pixels of a nucleus and pixels of the image that are not.
#[derive(Default)]
struct Edges {
    count: u64,
    inside: u64,
    outside: u64,
}

impl Edges {
    /// Add the edges between pixels of two lines.
    fn add(&mut self, inside: &[[u8; CHANNELS]], outside: &[[u8; CHANNELS]]) {
        let sum = |line: &[[u8; CHANNELS]]| -> u64 { line.iter().map(|it| u64::from(it[0])).sum() };
        self.count += inside.len() as u64;
        self.inside += sum(inside);
        self.outside += sum(outside);
    }

    /// Add the edges at the ends of a run in its row.
    fn add_ends(&mut self, run: &Run<usize>, row: &[[u8; CHANNELS]]) {
        let (start, end) = (run.columns().start, run.columns().end);
        if start > 0 {
            self.add(&row[start..=start], &row[start - 1..start]);
        }
        if end < row.len() {
            self.add(&row[end - 1..end], &row[end..=end]);
        }
    }
}

/// Call `part` with the columns of a run that no run of a neighbouring row covers. Those runs are in raster order.
fn uncovered(run: &Run<usize>, near: &[Run<usize>], mut part: impl FnMut(std::ops::Range<usize>)) {
    let (mut start, end) = (run.columns().start, run.columns().end);
    for other in near {
        let covered = other.columns();
        if start < covered.start.min(end) {
            part(start..covered.start.min(end));
        }
        start = start.max(covered.end);
    }
    if start < end {
        part(start..end);
    }
}
