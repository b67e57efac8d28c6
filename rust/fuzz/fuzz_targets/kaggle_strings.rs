//! Masks in the form of Kaggle, one per line: refused, or decoded to a label image that encodes to itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ndarray::Array2;
use nucleus_kernels::rle::{EncodedMask, extents, kaggle_to_labels, labels_to_kaggle};

fuzz_target!(|input: (u8, u8, &str)| {
    nucleus_fuzz::stay_on_this_thread();
    let (height, width, text) = input;
    let shape = (usize::from(height), usize::from(width));
    let masks: Vec<&str> = text.lines().collect();
    let mut labels = Array2::zeros(shape);
    let encoded: Vec<_> = masks
        .iter()
        .map(|mask| EncodedMask::<_, Vec<u8>>::Kaggle(*mask))
        .collect();
    let measured = extents(&encoded, shape);
    let Ok(merge) = kaggle_to_labels(&masks, labels.view_mut()) else {
        assert!(measured.is_err());
        return;
    };
    nucleus_fuzz::check_pixels(&measured.expect("decoded as well"), &merge, &labels);

    let alone = labels_to_kaggle(labels.view())
        .into_iter()
        .map(|(label, mask)| {
            let mut one = Array2::zeros(shape);
            kaggle_to_labels(&[mask], one.view_mut()).expect("we wrote it");
            (label, one)
        });
    assert_eq!(nucleus_fuzz::together(shape, alone), labels);
});
