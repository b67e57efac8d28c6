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

use crate::Error;
use crate::interrupt;
use crate::merge::{Losses, Merge, label_of};
use crate::runs::BLOCK;
pub use coco::{CocoCounts, coco_pixels, coco_string, coco_to_labels, labels_to_coco};
pub use extents::{EncodedMask, Extent, RunMask, areas, extents, rle_iou, run_masks};
pub use instances::Label;
pub use kaggle::{kaggle_to_labels, labels_to_kaggle};
pub use mask::{coco_to_mask, mask_to_coco};

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

/// The fault of one encoded mask, and its place. Pairs, counts and characters are counted from 0.
type Fault = String;

/// The error for the faulty mask at a place in the list, from 0.
fn faulty(mask: usize, fault: Fault) -> Error {
    Error::Data(format!("mask {mask}, {fault}"))
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
) -> Result<Vec<Parsed>, Error> {
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
        .map(|(mask, parsed)| parsed.map_err(|fault| faulty(mask, fault)))
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
