//! Single masks, in which every pixel is nucleus or background, as pycocotools encodes and decodes them.

use ndarray::parallel::prelude::*;
use ndarray::{ArrayView2, Axis};
use rayon::slice::ParallelSlice;

use super::{CocoCounts, LITTLE, coco_pixels, faulty, share};
use crate::Error;
use crate::interrupt;
use crate::runs::{for_each_difference, row_of, rows_of};

/// The number of pixels of a run that are written at once.
const AT_ONCE: usize = 32;

/// Row `n` has `n` ones, then zeros.
static SHORT: [[u8; AT_ONCE]; AT_ONCE + 1] = {
    let mut short = [[0; AT_ONCE]; AT_ONCE + 1];
    let mut length = 0;
    while length <= AT_ONCE {
        let mut place = 0;
        while place < length {
            short[length][place] = 1;
            place += 1;
        }
        length += 1;
    }
    short
};

/// Write 1 to the pixels of a mask. The image lies column after column and must be all 0.
///
/// # Errors
///
/// The first fault of the counts, for mask 0. The content of the image is then undefined.
pub fn coco_to_mask<Text: AsRef<[u8]>>(
    counts: &CocoCounts<Text>,
    columns: &mut [u8],
) -> Result<(), Error> {
    counts
        .for_each_run(columns.len() as u64, |run| {
            interrupt::check();
            let behind = &mut columns[run.start as usize..];
            let length = run.length as usize;
            // Runs ascend, so the pixels after a run are still 0. A short run, as most are, is one store of ones and zeros.
            match (SHORT.get(length), behind.first_chunk_mut()) {
                (Some(ones), Some(chunk)) => *chunk = *ones,
                _ => behind[..length].fill(1),
            }
        })
        .map_err(|fault| faulty(0, fault))
}

/// Encode a mask, 0 for background, as plain counts. It is fastest if the mask lies in memory column after column.
///
/// # Errors
///
/// If the image has 2^32 pixels or more.
pub fn mask_to_coco(mask: ArrayView2<'_, u8>) -> Result<Vec<u32>, Error> {
    let pixels = coco_pixels(mask.dim())?;
    let found = if mask.is_empty() {
        Vec::new()
    } else if let Some(columns) = mask.t().to_slice() {
        changes_of_columns(columns)
    } else {
        changes_of_rows(mask)
    };
    let mut counts = Vec::with_capacity(found.iter().map(Vec::len).sum::<usize>() + 1);
    let mut last = 0;
    for &change in found.iter().flatten() {
        counts.push(change - last);
        last = change;
    }
    // As in pycocotools, a mask with the last pixel ends with its own count, and an image without pixels has one count of 0.
    if last < pixels || counts.is_empty() {
        counts.push(pixels - last);
    }
    Ok(counts)
}

/// The column-major indices at which the mask begins or ends, in consecutive pieces.
fn changes_of_columns(pixels: &[u8]) -> Vec<Vec<u32>> {
    let share = share(pixels.len(), pixels.len()).min(LITTLE);
    pixels
        .par_chunks(share)
        .enumerate()
        .map(|(place, here)| {
            interrupt::check();
            let first = place * share;
            let mut changes = Vec::new();
            let before = if first == 0 { 0 } else { pixels[first - 1] };
            if (before == 0) != (here[0] == 0) {
                changes.push(first as u32);
            }
            for_each_difference(&here[..here.len() - 1], &here[1..], |pixel| {
                if (here[pixel] == 0) != (here[pixel + 1] == 0) {
                    changes.push((first + pixel + 1) as u32);
                }
            });
            changes
        })
        .collect()
}

/// The column-major indices at which the mask begins or ends, in consecutive pieces.
fn changes_of_rows(rows: ArrayView2<'_, u8>) -> Vec<Vec<u32>> {
    let image = rows.as_standard_layout();
    let (height, width) = image.dim();
    let strip = share(width, image.len());
    image
        .axis_chunks_iter(Axis(1), strip)
        .into_par_iter()
        .enumerate()
        .map(|(place, pixels)| {
            let first = place * strip;
            // The pixel before the first pixel of a column is the last pixel of the column before.
            let foot = |column: usize| match (first + column).checked_sub(1) {
                Some(before) => image[[height - 1, before]],
                None => 0,
            };
            changes_of_strip(pixels, first * height, foot)
        })
        .collect()
}

/// Find the changes of a strip row by row, many pixels at a time, and sort them by column with a counting sort.
fn changes_of_strip(
    strip: ArrayView2<'_, u8>,
    start: usize,
    foot: impl Fn(usize) -> u8,
) -> Vec<u32> {
    let (height, width) = strip.dim();
    let mut columns: Vec<u32> = Vec::new();
    let mut ends = Vec::with_capacity(height);
    let mut above = row_of(strip, 0);
    for (column, &pixel) in above.iter().enumerate() {
        if (pixel == 0) != (foot(column) == 0) {
            columns.push(column as u32);
        }
    }
    ends.push(columns.len());
    for here in rows_of(strip).skip(1) {
        interrupt::check();
        for_each_difference(above, here, |column| {
            if (above[column] == 0) != (here[column] == 0) {
                columns.push(column as u32);
            }
        });
        ends.push(columns.len());
        above = here;
    }
    let mut places = vec![0_usize; width + 1];
    for &column in &columns {
        places[column as usize + 1] += 1;
    }
    for column in 0..width {
        places[column + 1] += places[column];
    }
    let mut changes = vec![0; columns.len()];
    let mut begin = 0;
    for (row, end) in ends.into_iter().enumerate() {
        for &column in &columns[begin..end] {
            let place = &mut places[column as usize];
            changes[*place] = (start + column as usize * height + row) as u32;
            *place += 1;
        }
        begin = end;
    }
    changes
}
