//! Span-length encoding of whole label images, in the forms of Kaggle and COCO.
//!
//! Both list the runs of a mask in column-major order (down the first column, then the next). One pass over a label image
//! encodes all its instances.

mod coco;
mod extents;
mod instances;
mod kaggle;
mod mask;

use ndarray::parallel::prelude::*;
use ndarray::{ArrayViewMut2, Axis, Slice};

use crate::interrupt;
use crate::merge::{Losses, Merge, label_of};
use crate::runs::BLOCK;
pub use coco::{
    CocoCounts, coco_pixels, coco_string, coco_to_labels, labels_to_coco, labels_to_coco_strings,
};
pub use extents::{EncodedMask, Extent, RunMask, areas, extents, rle_iou, run_masks};
pub use instances::Label;
pub use kaggle::{kaggle_to_labels, labels_to_kaggle};
pub use mask::{MaskPixels, coco_to_mask, mask_to_coco};

/// One thread paints a multiple of this many columns: 256 bytes of each row, so that threads share few cache lines.
const STRIP: usize = 64;

/// The number of characters or counts that are worth another thread: to wake a thread takes as long as to read thousands.
const TASK: usize = 1 << 17;

/// The number of pixels up to which one thread finds or paints runs before another thread would wake.
const LITTLE: usize = 1 << 20;

/// The least number of columns, or pixels, that one thread takes: shorter pieces of rows are slow to read.
const LEAST: usize = 16 * BLOCK;

/// Pixels of one mask that follow each other in column-major order. A run of one row is a `runs::Run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The column-major index of the first pixel, from 0.
    pub start: u64,
    /// The number of pixels, at least 1.
    pub length: u64,
}

impl Span {
    fn end(self) -> u64 {
        self.start + self.length
    }
}

/// Why masks cannot be decoded, or an image cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RleError {
    /// One mask of the list is faulty.
    #[error("mask {mask}, {fault}")]
    Mask {
        /// Its place in the list, from 0.
        mask: usize,
        /// The fault and its place.
        fault: Fault,
    },
    /// The pixels of the image cannot be counted in 32 bits.
    #[error(
        "COCO counts have 32 bits, which {height} x {width} pixels exceed; use Kaggle's encoding, or cut the image"
    )]
    ImageTooLarge {
        /// The number of rows.
        height: usize,
        /// The number of columns.
        width: usize,
    },
}

/// The fault of one encoded mask. Pairs, counts and characters are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A start or a length is not a number, not positive, or exceeds 64 bits.
    #[error("pair {pair}, character {character}: the {part} {text:?} {problem}")]
    BadNumber {
        /// The pair.
        pair: usize,
        /// The place in the string.
        character: usize,
        /// "start" or "length".
        part: &'static str,
        /// The text at this place, cut if it is long.
        text: String,
        /// The problem with this text.
        problem: &'static str,
    },
    /// The last start has no length.
    #[error("pair {pair}: start {start} has no length (the string holds an odd count of numbers)")]
    NoLength {
        /// The pair.
        pair: usize,
        /// The start of the pair.
        start: u64,
    },
    /// A run leaves the image.
    #[error(
        "pair {pair}: start {start} and length {length} run past the last pixel of the image, {pixels}"
    )]
    OutOfRange {
        /// The pair.
        pair: usize,
        /// The start of the pair, from 1.
        start: u64,
        /// The length of the pair.
        length: u64,
        /// The number of pixels of the image.
        pixels: u64,
    },
    /// Two runs of one mask share pixels.
    #[error("pair {pair} overlaps pair {other}: both claim pixel {pixel} (column-major, from 1)")]
    Overlap {
        /// The later pair of the string.
        pair: usize,
        /// The earlier pair of the string.
        other: usize,
        /// The first shared pixel, from 1.
        pixel: u64,
    },
    /// A character does not occur in compressed counts.
    #[error(
        "character {character}: byte {byte:#04x} is not one of the 64 characters '0' to 'o' of compressed counts"
    )]
    BadCharacter {
        /// The place in the string.
        character: usize,
        /// The byte at this place.
        byte: u8,
    },
    /// Compressed counts end inside a number.
    #[error("character {character}: the string ends inside count {count}")]
    Truncated {
        /// The end of the string.
        character: usize,
        /// The cut count.
        count: usize,
    },
    /// A number of compressed counts is longer than any number of 32 bits.
    #[error("character {character}: count {count} does not fit in 32 bits")]
    CompressedOverflow {
        /// The place in the string.
        character: usize,
        /// The count.
        count: usize,
    },
    /// A count is negative or exceeds 32 bits.
    #[error("count {count} is {value}, expected 0 to 4294967295")]
    CountOutOfRange {
        /// The count.
        count: usize,
        /// The value of the count.
        value: i64,
    },
    /// Counts go on beyond the image.
    #[error("count {count} is {value} and runs past the last pixel of the image, {pixels}")]
    CountPastEnd {
        /// The count.
        count: usize,
        /// The value of the count.
        value: u32,
        /// The number of pixels of the image.
        pixels: u64,
    },
    /// Counts stop short of the image.
    #[error(
        "after count {counts}: the {counts} counts sum to {sum}, but the image has {pixels} pixels"
    )]
    SumTooSmall {
        /// The number of counts.
        counts: usize,
        /// The sum of the counts.
        sum: u64,
        /// The number of pixels of the image.
        pixels: u64,
    },
}

/// Whether one thread does all work on an image of this many pixels and on masks of this many characters or counts.
pub fn is_little(pixels: usize, characters: usize) -> bool {
    pixels <= LITTLE && characters <= TASK
}

/// The share of one thread in `length` columns, or pixels, of an image with this many `pixels`.
fn share(length: usize, pixels: usize) -> usize {
    let threads = if pixels <= LITTLE {
        1
    } else {
        rayon::current_num_threads()
    };
    length.div_ceil(threads).next_multiple_of(BLOCK).max(LEAST)
}

/// Parse every mask. The error is the fault of the first faulty mask, at any number of threads. `length` is the number of
/// characters or counts of a mask, by which the work is divided.
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
        .map(|mask| {
            interrupt::check();
            parse(mask)
        })
        .collect();
    parsed
        .into_iter()
        .enumerate()
        .map(|(mask, parsed)| parsed.map_err(|fault| RleError::Mask { mask, fault }))
        .collect()
}

/// Paint masks on an all-background image. Their runs lie within the image and are disjoint within each mask.
fn paint(masks: &[Vec<Span>], mut labels: ArrayViewMut2<'_, u32>) -> Merge {
    let claimed: Vec<u64> = masks
        .iter()
        .map(|runs| runs.iter().map(|run| run.length).sum())
        .collect();
    if labels.is_empty() {
        return Merge::new(&claimed, Losses::default());
    }
    let threads = rayon::current_num_threads();
    if labels.len() <= LITTLE || threads == 1 {
        let runs = masks.iter().enumerate().flat_map(|(mask, runs)| {
            let label = label_of(mask);
            runs.iter().map(move |&run| (label, run))
        });
        return Merge::new(&claimed, paint_strip(labels, runs));
    }
    let strip = labels.ncols().div_ceil(threads).next_multiple_of(STRIP);
    let strips = runs_by_strip(masks, labels.dim(), strip);
    let losses = labels
        .axis_chunks_iter_mut(Axis(1), strip)
        .into_par_iter()
        .zip(strips)
        .map(|(strip, runs)| paint_strip(strip, runs.into_iter()))
        .reduce(Losses::default, Losses::add);
    Merge::new(&claimed, losses)
}

/// For each strip the labels and runs that touch it, in the order of the masks. Runs are cut to the strip and counted from
/// its first pixel.
fn runs_by_strip(
    masks: &[Vec<Span>],
    (height, width): (usize, usize),
    strip: usize,
) -> Vec<Vec<(u32, Span)>> {
    let strip_pixels = (height * strip) as u64;
    let mut strips = vec![Vec::new(); width.div_ceil(strip)];
    for (mask, runs) in masks.iter().enumerate() {
        for run in runs {
            let (first, last) = (run.start / strip_pixels, (run.end() - 1) / strip_pixels);
            for strip in first..=last {
                let offset = strip * strip_pixels;
                let start = run.start.max(offset) - offset;
                let end = run.end().min(offset + strip_pixels) - offset;
                let length = end - start;
                strips[strip as usize].push((label_of(mask), Span { start, length }));
            }
        }
    }
    strips
}

fn paint_strip(
    mut strip: ArrayViewMut2<'_, u32>,
    runs: impl Iterator<Item = (u32, Span)>,
) -> Losses {
    let height = strip.nrows();
    let mut losses = Losses::default();
    for (label, run) in runs {
        interrupt::check();
        let (start, mut length) = (run.start as usize, run.length as usize);
        let (mut column, mut top) = (start / height, start % height);
        while length > 0 {
            let bottom = height.min(top + length);
            let mut pixels = strip.column_mut(column);
            for pixel in pixels.slice_axis_mut(Axis(0), Slice::from(top..bottom)) {
                losses.claim(pixel, label);
            }
            length -= bottom - top;
            (column, top) = (column + 1, 0);
        }
    }
    losses
}
