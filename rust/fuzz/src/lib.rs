//! Helpers of the fuzz targets.

use std::sync::Once;

use ndarray::Array2;
use nucleus_kernels::merge::Merge;
use nucleus_kernels::rle::Extent;

/// Keep all work on this thread: for tiny images, other threads would cost most of the time.
pub fn stay_on_this_thread() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1);
        let pool = pool.use_current_thread();
        pool.build_global().expect("no work was done yet");
    });
}

/// Assert that the pixels of all masks are those of the label image plus those lost in overlaps.
pub fn check_pixels(masks: &[Extent], merge: &Merge, labels: &Array2<u32>) {
    let claimed: u64 = masks.iter().map(|mask| mask.area).sum();
    let lost: u64 = merge.overlaps.iter().map(|overlap| overlap.pixels).sum();
    let kept = labels.iter().filter(|&&label| label != 0).count() as u64;
    assert_eq!(claimed, kept + lost);
}

/// Combine masks of 0 and 1, each decoded alone, to a label image.
pub fn together(
    shape: (usize, usize),
    masks: impl Iterator<Item = (u32, Array2<u32>)>,
) -> Array2<u32> {
    let mut labels = Array2::zeros(shape);
    for (label, mask) in masks {
        labels.zip_mut_with(&mask, |pixel, inside| *pixel += label * inside);
    }
    labels
}
