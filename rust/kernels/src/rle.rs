//! Run-length encoding of whole label images, in the forms of Kaggle and COCO.
//!
//! Both list the runs of a mask in column-major order (down the first column, then the next). All instances
//! of a label image are encoded in one pass over it, not in one pass each.

mod coco;
mod instances;
mod kaggle;
mod measure;

use std::ops::Range;

use ndarray::parallel::prelude::*;
use ndarray::{ArrayViewMut2, Axis, Slice};

use crate::interrupt;
use crate::merge::{Losses, Merge, label_of};
use crate::runs::for_each_bit;
pub use coco::{
    CocoCounts, coco_pixels, coco_string, coco_to_labels, labels_to_coco, labels_to_coco_strings,
};
pub use instances::Label;
pub use kaggle::{kaggle_to_labels, labels_to_kaggle};
pub use measure::{EncodedMask, Extent, RunMask, extents, rle_iou, run_masks};

/// Columns that are painted together: one bit of a word each.
const STRIP: usize = u64::BITS as usize;

/// Characters or counts that are worth handing to another thread.
const TASK: usize = 1 << 14;

/// Pixels of one mask that follow each other in column-major order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Column-major index of the first pixel, from 0.
    pub start: u64,
    /// Number of pixels, at least 1.
    pub length: u64,
}

impl Run {
    fn end(self) -> u64 {
        self.start + self.length
    }
}

/// An encoded mask that breaks its contract, or an image that the encoding cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RleError {
    /// One mask of the list is faulty.
    #[error("mask {mask}, {fault}")]
    Mask {
        /// Its place in the list, from 0.
        mask: usize,
        /// What is wrong, and where.
        fault: Fault,
    },
    /// The pixels of the image cannot be counted in 32 bits.
    #[error(
        "COCO counts have 32 bits, which {height} x {width} pixels exceed; use Kaggle's encoding, or cut the image"
    )]
    ImageTooLarge {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
}

/// What is wrong with one encoded mask. Pairs, counts and characters are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A start or length is no number, not positive, or exceeds 64 bits.
    #[error("pair {pair}, character {character}: the {part} {text:?} {problem}")]
    BadNumber {
        /// The pair.
        pair: usize,
        /// Where in the string.
        character: usize,
        /// "start" or "length".
        part: &'static str,
        /// What stands there, cut if long.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The last start has no length.
    #[error("pair {pair}: start {start} has no length (the string holds an odd count of numbers)")]
    NoLength {
        /// The pair.
        pair: usize,
        /// Its start.
        start: u64,
    },
    /// A run leaves the image.
    #[error(
        "pair {pair}: start {start} and length {length} run past the last pixel of the image, {pixels}"
    )]
    OutOfRange {
        /// The pair.
        pair: usize,
        /// Its start, from 1.
        start: u64,
        /// Its length.
        length: u64,
        /// Pixels in the image.
        pixels: u64,
    },
    /// Two runs of one mask share pixels.
    #[error("pair {pair} overlaps pair {other}: both claim pixel {pixel} (column-major, from 1)")]
    Overlap {
        /// The pair that stands later in the string.
        pair: usize,
        /// The one that stands earlier.
        other: usize,
        /// The first pixel that both claim, from 1.
        pixel: u64,
    },
    /// A character that compressed counts never hold.
    #[error(
        "character {character}: byte {byte:#04x} is not one of the 64 characters '0' to 'o' of compressed counts"
    )]
    BadCharacter {
        /// Where in the string.
        character: usize,
        /// What stands there.
        byte: u8,
    },
    /// Compressed counts end inside a number.
    #[error("character {character}: the string ends inside count {count}")]
    Truncated {
        /// Where the string ends.
        character: usize,
        /// The count that is cut.
        count: usize,
    },
    /// A number of compressed counts is longer than 32 bits ever need.
    #[error("character {character}: count {count} does not fit in 32 bits")]
    CompressedOverflow {
        /// Where in the string.
        character: usize,
        /// The count.
        count: usize,
    },
    /// A count is negative or exceeds 32 bits.
    #[error("count {count} is {value}, expected 0 to 4294967295")]
    CountOutOfRange {
        /// The count.
        count: usize,
        /// Its value.
        value: i64,
    },
    /// Counts go on beyond the image.
    #[error("count {count} is {value} and runs past the last pixel of the image, {pixels}")]
    CountPastEnd {
        /// The count.
        count: usize,
        /// Its value.
        value: u32,
        /// Pixels in the image.
        pixels: u64,
    },
    /// Counts stop short of the image.
    #[error(
        "after count {counts}: the {counts} counts sum to {sum}, but the image has {pixels} pixels"
    )]
    SumTooSmall {
        /// How many counts there are.
        counts: usize,
        /// Their sum.
        sum: u64,
        /// Pixels in the image.
        pixels: u64,
    },
}

/// What `read` makes of every mask; of several faults the one in the first mask counts, whichever thread is first.
/// `length` is the number of characters or counts of a mask, by which the work is shared out.
fn parse_all<Encoded: Sync, Parsed: Send>(
    masks: &[Encoded],
    length: impl Fn(&Encoded) -> usize,
    parse: impl Fn(&Encoded) -> Result<Parsed, Fault> + Send + Sync,
) -> Result<Vec<Parsed>, RleError> {
    let characters: usize = masks.iter().map(length).sum();
    let least = masks.len() * TASK / characters.max(1);
    let parsed: Vec<_> = masks
        .par_iter()
        .with_min_len(least.max(1))
        .map(parse)
        .collect();
    parsed
        .into_iter()
        .enumerate()
        .map(|(mask, parsed)| parsed.map_err(|fault| RleError::Mask { mask, fault }))
        .collect()
}

/// Paint masks, whose runs lie within the image and are disjoint in each mask, on an all-background image.
fn paint(masks: &[Vec<Run>], mut labels: ArrayViewMut2<'_, u32>) -> Merge {
    let claimed: Vec<u64> = masks
        .iter()
        .map(|runs| runs.iter().map(|run| run.length).sum())
        .collect();
    if labels.is_empty() {
        return Merge::new(&claimed, Losses::default());
    }
    let strips = runs_by_strip(masks, labels.dim());
    let losses = labels
        .axis_chunks_iter_mut(Axis(1), STRIP)
        .into_par_iter()
        .zip(strips)
        .map(|(strip, runs)| Strip::new(strip).paint(&runs))
        .reduce(Losses::default, Losses::add);
    Merge::new(&claimed, losses)
}

/// For each strip the labels and runs that touch it in the order of the masks, runs cut to columns.
fn runs_by_strip(
    masks: &[Vec<Run>],
    (height, width): (usize, usize),
) -> Vec<Vec<(u32, ColumnRun)>> {
    let mut strips = vec![Vec::new(); width.div_ceil(STRIP)];
    for (mask, runs) in masks.iter().enumerate() {
        for run in runs {
            let (mut start, end) = (run.start as usize, run.end() as usize);
            while start < end {
                let column = start / height;
                let foot = (column + 1) * height;
                let rows = start - column * height..end.min(foot) - column * height;
                let piece = ColumnRun {
                    column: column % STRIP,
                    rows,
                };
                strips[column / STRIP].push((label_of(mask), piece));
                start = foot;
            }
        }
    }
    strips
}

/// The part of a run that lies in one column.
#[derive(Clone)]
struct ColumnRun {
    /// Counted from the first of the strip.
    column: usize,
    rows: Range<usize>,
}

/// Columns of the image, and for each row one bit a pixel: runs go down columns, but memory is written along rows.
struct Strip<'a> {
    labels: ArrayViewMut2<'a, u32>,
    /// Pixels that have a label.
    taken: Vec<u64>,
    /// Pixels at which runs of one mask start, and those after their ends.
    ends: Vec<u64>,
    losses: Losses,
}

impl<'a> Strip<'a> {
    fn new(labels: ArrayViewMut2<'a, u32>) -> Self {
        let height = labels.nrows();
        Self {
            labels,
            taken: vec![0; height],
            ends: vec![0; height + 1],
            losses: Losses::default(),
        }
    }

    fn paint(mut self, runs: &[(u32, ColumnRun)]) -> Losses {
        for mask in runs.chunk_by(|one, other| one.0 == other.0) {
            self.paint_mask(mask[0].0, mask);
        }
        self.losses
    }

    fn paint_mask(&mut self, label: u32, runs: &[(u32, ColumnRun)]) {
        interrupt::check();
        let pixels: usize = runs.iter().map(|(_, run)| run.rows.len()).sum();
        let top = runs.iter().map(|(_, run)| run.rows.start).min();
        let bottom = runs.iter().map(|(_, run)| run.rows.end).max();
        let rows = top.unwrap_or_default()..bottom.unwrap_or_default();
        if rows.len() > pixels {
            // Scattered over more rows than it has pixels: going through all of those could take without end.
            for (_, ColumnRun { column, rows }) in runs {
                rows.clone()
                    .for_each(|row| self.claim(row, 1 << column, label));
            }
            return;
        }
        for (_, ColumnRun { column, rows }) in runs {
            // A run that follows another without a gap undoes its end.
            self.ends[rows.start] ^= 1 << column;
            self.ends[rows.end] ^= 1 << column;
        }
        let mut inside = 0;
        for row in rows.clone() {
            inside ^= std::mem::take(&mut self.ends[row]);
            self.claim(row, inside, label);
        }
        self.ends[rows.end] = 0;
    }

    /// Give the pixels of a row to `label`, but those that an earlier label has.
    fn claim(&mut self, row: usize, pixels: u64, label: u32) {
        let mut line = self.labels.row_mut(row);
        for_each_bit(pixels & self.taken[row], |column| {
            self.losses.lose(line[column], label);
        });
        let mut free = pixels & !self.taken[row];
        self.taken[row] |= pixels;
        let mut column = 0;
        while free != 0 {
            let gap = free.trailing_zeros() as usize;
            let length = (free >> gap).trailing_ones() as usize;
            column += gap;
            line.slice_axis_mut(Axis(0), Slice::from(column..column + length))
                .fill(label);
            column += length;
            // In two steps, as all 64 bits may go.
            free = free >> gap >> (length - 1) >> 1;
        }
    }
}
