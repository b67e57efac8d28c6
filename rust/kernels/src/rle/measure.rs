//! Areas, boxes and overlaps of encoded masks, from their runs alone: no image is made.

use ndarray::parallel::prelude::*;
use ndarray::{ArrayViewMut2, Axis};

use super::{CocoCounts, Fault, RleError, Run, coco_pixels, kaggle, parse_all};

/// One encoded mask in either form.
#[derive(Debug, Clone)]
pub enum EncodedMask<Text> {
    /// Kaggle's `start length` pairs.
    Kaggle(Text),
    /// COCO's counts.
    Coco(CocoCounts),
}

/// One mask as its runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunMask {
    /// Number of its pixels.
    pub area: u64,
    /// First row, first column, and the row and column after the last ones; zeros for an empty mask.
    pub bounding_box: [usize; 4],
    /// Ascending and disjoint.
    runs: Vec<Run>,
}

impl RunMask {
    fn new(mut runs: Vec<Run>, height: usize) -> Self {
        runs.sort_unstable_by_key(|run| run.start);
        Self {
            area: runs.iter().map(|run| run.length).sum(),
            bounding_box: bounding_box(&runs, height as u64).map(|side| side as usize),
            runs,
        }
    }

    /// Intersection over union with another mask; 0 if both are empty.
    fn iou(&self, other: &Self) -> f64 {
        let [top, left, bottom, right] = self.bounding_box;
        let [above, before, below, after] = other.bounding_box;
        if top >= below || above >= bottom || left >= after || before >= right {
            return 0.0;
        }
        let shared = shared_pixels(&self.runs, &other.runs);
        shared as f64 / (self.area + other.area - shared) as f64
    }
}

/// Read masks of an image of these rows and columns.
///
/// # Errors
///
/// [`RleError::ImageTooLarge`] where a mask is of COCO's form and the image has 2^32 pixels or more; else the first
/// fault of the first faulty mask, by the place of the mask in the list.
pub fn run_masks<Text: AsRef<str> + Sync>(
    masks: &[EncodedMask<Text>],
    shape: (usize, usize),
) -> Result<Vec<RunMask>, RleError> {
    if masks
        .iter()
        .any(|mask| matches!(mask, EncodedMask::Coco(_)))
    {
        coco_pixels(shape)?;
    }
    let (height, width) = shape;
    // More pixels than 64 bits count are more than any mask can name.
    let pixels = (height as u64).saturating_mul(width as u64);
    let runs = parse_all(masks, |mask| -> Result<Vec<Run>, Fault> {
        match mask {
            EncodedMask::Kaggle(text) => kaggle::parse(text.as_ref(), pixels),
            EncodedMask::Coco(counts) => counts.runs(pixels),
        }
    })?;
    Ok(runs
        .into_par_iter()
        .map(|runs| RunMask::new(runs, height))
        .collect())
}

/// Write the intersection over union of each mask of `a` (rows) with each of `b` (columns); 0 where both are empty.
pub fn rle_iou(a: &[RunMask], b: &[RunMask], mut iou: ArrayViewMut2<'_, f64>) {
    let left = |mask: usize| b[mask].bounding_box[1];
    let mut by_left: Vec<usize> = (0..b.len()).collect();
    by_left.sort_by_key(|&mask| left(mask));
    let widths = b
        .iter()
        .map(|mask| mask.bounding_box[3] - mask.bounding_box[1]);
    let widest = widths.max().unwrap_or_default();
    iou.axis_iter_mut(Axis(0))
        .into_par_iter()
        .zip(a)
        .for_each(|(mut row, a)| {
            row.fill(0.0);
            // Most masks are far from each other: only those are looked at whose columns may be shared.
            let [_, from, _, until] = a.bounding_box;
            let first = by_left.partition_point(|&mask| left(mask) + widest <= from);
            for &mask in by_left[first..]
                .iter()
                .take_while(|&&mask| left(mask) < until)
            {
                row[mask] = a.iou(&b[mask]);
            }
        });
}

/// The box of ascending runs.
fn bounding_box(runs: &[Run], height: u64) -> [u64; 4] {
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else {
        return [0; 4];
    };
    let rows = |run: &Run| {
        let top = run.start % height;
        let bottom = top + run.length;
        // A run that goes on in the next column has the last row of one and the first of the other.
        if bottom > height {
            (0, height)
        } else {
            (top, bottom)
        }
    };
    let top = runs.iter().map(|run| rows(run).0).min();
    let bottom = runs.iter().map(|run| rows(run).1).max();
    [
        top.unwrap_or_default(),
        first.start / height,
        bottom.unwrap_or_default(),
        (last.end() - 1) / height + 1,
    ]
}

/// How many pixels two lists of ascending, disjoint runs have in common.
fn shared_pixels(a: &[Run], b: &[Run]) -> u64 {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    let mut shared = 0;
    while let (Some(one), Some(other)) = (a.peek(), b.peek()) {
        let (start, end) = (one.start.max(other.start), one.end().min(other.end()));
        shared += end.saturating_sub(start);
        if one.end() < other.end() {
            a.next();
        } else {
            b.next();
        }
    }
    shared
}
