//! Any bytes as a PNG: refused, or decoded to a mask. The same mask given twice claims its pixels once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ndarray::Array2;
use nucleus_kernels::mask_png::{merge_mask_pngs, shape};

/// Images stay small, so that formats take the time, not pixels.
const PIXELS: usize = 1 << 16;

fuzz_target!(|file: &[u8]| {
    nucleus_fuzz::stay_on_this_thread();
    let Ok((height, width)) = shape(file) else {
        return;
    };
    if height * width > PIXELS {
        return;
    }
    let mut labels = Array2::zeros((height, width));
    let Ok(merge) = merge_mask_pngs(&[file, file], labels.view_mut()) else {
        return;
    };
    let pixels = labels.iter().filter(|&&label| label != 0).count() as u64;
    assert!(labels.iter().all(|&label| label <= 1));
    let lost: Vec<u64> = merge
        .overlaps
        .iter()
        .map(|overlap| overlap.pixels)
        .collect();
    let expected = if pixels == 0 { vec![] } else { vec![pixels] };
    assert_eq!(lost, expected);
    assert_eq!(merge.empty.len(), if pixels == 0 { 2 } else { 0 });
});
