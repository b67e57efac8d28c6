//! Removal of whole nuclei, by area or because they touch the border of the image.

use std::ops::RangeInclusive;

use crate::labels::by_label::{ByLabel, for_each_run, map_runs};

/// Write to `kept` the labels whose total area lies in a range; the others become background.
///
/// Both slices hold the pixels of an image in raster order.
pub fn filter_by_area(labels: &[u32], kept: &mut [u32], areas: RangeInclusive<u64>) {
    let mut area_of = ByLabel::<u64>::new(labels.len());
    for_each_run(labels, |label, pixels| {
        *area_of.slot(label) += pixels as u64;
    });
    map_runs(labels, kept, |label| {
        if areas.contains(&area_of.get(label)) {
            label
        } else {
            0
        }
    });
}

/// Write to `kept` the labels without a pixel in the first or last row or column; the others become background.
///
/// Both slices hold the pixels of an image with this many columns in raster order.
pub fn clear_border(labels: &[u32], columns: usize, kept: &mut [u32]) {
    let mut touches = ByLabel::<bool>::new(labels.len());
    let rows = || labels.chunks(columns.max(1));
    let (top, bottom) = (rows().next(), rows().next_back());
    let ends = rows().flat_map(|row| [row[0], row[row.len() - 1]]);
    for label in top.into_iter().chain(bottom).flatten().copied().chain(ends) {
        *touches.slot(label) = true;
    }
    map_runs(
        labels,
        kept,
        |label| {
            if touches.get(label) { 0 } else { label }
        },
    );
}
