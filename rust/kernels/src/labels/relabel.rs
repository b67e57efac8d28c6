//! Labels without gaps, in the order of the nuclei.

use crate::labels::by_label::{ByLabel, map_runs};

/// Number the labels 1..N by their first pixels and write the numbers to `renumbered`; 0 stays 0.
///
/// Both slices hold the pixels of an image in raster order. The returned table maps each new label to the old one, and 0
/// to 0. Labels are looked up by position if they are not larger than the image, else by hash.
pub fn relabel_sequential(labels: &[u32], renumbered: &mut [u32]) -> Vec<u32> {
    let mut number_of = ByLabel::<u32>::new(labels.len());
    let mut old_labels = vec![0];
    map_runs(labels, renumbered, |label| {
        let number = number_of.slot(label);
        if *number == 0 {
            // There are at most 2^32 - 1 labels besides 0, so their numbers fit.
            *number = old_labels.len() as u32;
            old_labels.push(label);
        }
        *number
    });
    old_labels
}
