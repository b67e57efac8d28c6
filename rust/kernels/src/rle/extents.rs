//! Areas, bounding boxes and overlaps of encoded masks, from their runs alone; no image is allocated.

use ndarray::parallel::prelude::*;
use ndarray::{ArrayViewMut2, Axis};

use super::{CocoCounts, Fault, Span, coco_pixels, kaggle, parse_all};
use crate::Error;

/// The number of masks whose overlaps are worth another thread.
const MASKS: usize = 64;

/// An encoded mask of either form.
#[derive(Debug, Clone)]
pub enum EncodedMask<Pairs, Text> {
    /// Kaggle's `start length` pairs.
    Kaggle(Pairs),
    /// COCO's counts.
    Coco(CocoCounts<Text>),
}

impl<Pairs: AsRef<str>, Text: AsRef<[u8]>> EncodedMask<Pairs, Text> {
    /// Call `run` with each run of a mask of an image with this many pixels.
    fn for_each_run(&self, pixels: u64, run: impl FnMut(Span)) -> Result<(), Fault> {
        match self {
            Self::Kaggle(text) => {
                kaggle::parse(text.as_ref(), pixels)?
                    .into_iter()
                    .for_each(run);
                Ok(())
            }
            Self::Coco(counts) => counts.for_each_run(pixels, run),
        }
    }

    /// The number of characters or numbers of the encoding.
    pub fn size(&self) -> usize {
        match self {
            Self::Kaggle(text) => text.as_ref().len(),
            Self::Coco(counts) => counts.size(),
        }
    }
}

/// The area and the bounding box of a mask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// The number of its pixels.
    pub area: u64,
    /// The first row and column, and the row and column after the last ones; zeros for an empty mask.
    pub bounding_box: [usize; 4],
}

/// Measures the runs of a mask of an image with this many rows. Runs come in any order; it is fastest from the first column
/// to the last.
struct Measuring {
    height: u64,
    extent: Extent,
    /// The current column and its first pixel.
    column: u64,
    head: u64,
}

impl Measuring {
    fn new(height: u64) -> Self {
        Self {
            height,
            extent: Extent::default(),
            column: 0,
            head: 0,
        }
    }

    /// The column and the row of a pixel. The column is mostly the current one or the next, which avoids a slow division.
    fn place(&mut self, pixel: u64) -> (u64, u64) {
        if pixel < self.head || pixel - self.head >= 2 * self.height {
            self.column = pixel / self.height;
            self.head = self.column * self.height;
        } else if pixel - self.head >= self.height {
            self.column += 1;
            self.head += self.height;
        }
        (self.column, pixel - self.head)
    }

    fn add(&mut self, run: Span) {
        let (first, top) = self.place(run.start);
        let foot = top + run.length;
        // A run that continues in the next column has the last row of one column and the first row of the next.
        let (top, bottom, last) = if foot > self.height {
            (0, self.height, self.place(run.end() - 1).0)
        } else {
            (top, foot, first)
        };
        let sides = [top, first, bottom, last + 1].map(|side| side as usize);
        let extent = &mut self.extent;
        extent.bounding_box = if extent.area == 0 {
            sides
        } else {
            let [above, before, below, after] = extent.bounding_box;
            [
                above.min(sides[0]),
                before.min(sides[1]),
                below.max(sides[2]),
                after.max(sides[3]),
            ]
        };
        extent.area += run.length;
    }
}

/// A mask as a list of runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunMask {
    /// The area and bounding box.
    pub extent: Extent,
    /// The runs, ascending and disjoint.
    runs: Vec<Span>,
}

impl RunMask {
    /// Intersection over union with another mask; 0 if both are empty.
    fn iou(&self, other: &Self) -> f64 {
        let [top, left, bottom, right] = self.extent.bounding_box;
        let [above, before, below, after] = other.extent.bounding_box;
        if top >= below || above >= bottom || left >= after || before >= right {
            return 0.0;
        }
        let shared = shared_pixels(&self.runs, &other.runs);
        shared as f64 / (self.extent.area + other.extent.area - shared) as f64
    }
}

/// Areas and bounding boxes of masks of an image with these rows and columns.
///
/// # Errors
///
/// If a mask is of COCO's form and the image has 2^32 pixels or more; else the first
/// fault of the first faulty mask, by the place of the mask in the list.
pub fn extents<Pairs: AsRef<str> + Sync, Text: AsRef<[u8]> + Sync>(
    masks: &[EncodedMask<Pairs, Text>],
    shape: (usize, usize),
) -> Result<Vec<Extent>, Error> {
    let (pixels, height) = pixels_and_height(masks, shape)?;
    parse_all(masks, EncodedMask::size, |mask| {
        let mut measuring = Measuring::new(height);
        mask.for_each_run(pixels, |run| measuring.add(run))?;
        Ok(measuring.extent)
    })
}

/// Areas of masks of an image with these rows and columns.
///
/// # Errors
///
/// The errors of [`extents`].
pub fn areas<Pairs: AsRef<str> + Sync, Text: AsRef<[u8]> + Sync>(
    masks: &[EncodedMask<Pairs, Text>],
    shape: (usize, usize),
) -> Result<Vec<u64>, Error> {
    let (pixels, _) = pixels_and_height(masks, shape)?;
    parse_all(masks, EncodedMask::size, |mask| {
        let mut area = 0;
        mask.for_each_run(pixels, |run| area += run.length)?;
        Ok(area)
    })
}

/// Read masks of an image with these rows and columns.
///
/// # Errors
///
/// The errors of [`extents`].
pub fn run_masks<Pairs: AsRef<str> + Sync, Text: AsRef<[u8]> + Sync>(
    masks: &[EncodedMask<Pairs, Text>],
    shape: (usize, usize),
) -> Result<Vec<RunMask>, Error> {
    let (pixels, height) = pixels_and_height(masks, shape)?;
    parse_all(masks, EncodedMask::size, |mask| {
        let (mut measuring, mut runs) = (Measuring::new(height), Vec::new());
        mask.for_each_run(pixels, |run| {
            measuring.add(run);
            runs.push(run);
        })?;
        let extent = measuring.extent;
        runs.sort_unstable_by_key(|run| run.start);
        Ok(RunMask { extent, runs })
    })
}

fn pixels_and_height<Pairs, Text>(
    masks: &[EncodedMask<Pairs, Text>],
    shape: (usize, usize),
) -> Result<(u64, u64), Error> {
    if masks
        .iter()
        .any(|mask| matches!(mask, EncodedMask::Coco(_)))
    {
        coco_pixels(shape)?;
    }
    let (height, width) = (shape.0 as u64, shape.1 as u64);
    // Masks cannot name more pixels than 64 bits count.
    Ok((height.saturating_mul(width), height))
}

/// Write the intersection over union of each mask of `a` (rows) with each of `b` (columns); 0 where both are empty.
///
/// `iou` must be all 0: pairs without common columns, which are most pairs, are not written.
pub fn rle_iou(a: &[RunMask], b: &[RunMask], mut iou: ArrayViewMut2<'_, f64>) {
    let left = |mask: usize| b[mask].extent.bounding_box[1];
    let mut by_left: Vec<usize> = (0..b.len()).collect();
    by_left.sort_by_key(|&mask| left(mask));
    let widths = b.iter().map(|mask| {
        let [_, left, _, right] = mask.extent.bounding_box;
        right - left
    });
    let widest = widths.max().unwrap_or_default();
    iou.axis_iter_mut(Axis(0))
        .into_par_iter()
        .with_min_len(MASKS)
        .zip(a)
        .for_each(|(mut row, a)| {
            let [_, from, _, until] = a.extent.bounding_box;
            let first = by_left.partition_point(|&mask| left(mask) + widest <= from);
            for &mask in by_left[first..]
                .iter()
                .take_while(|&&mask| left(mask) < until)
            {
                row[mask] = a.iou(&b[mask]);
            }
        });
}

/// The number of common pixels of two lists of ascending, disjoint runs.
fn shared_pixels(a: &[Span], b: &[Span]) -> u64 {
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
