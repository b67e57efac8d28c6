//! Compressed counts in the form of COCO, one mask per line: refused, or decoded to masks that encode to the same pixels.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ndarray::Array2;
use nucleus_kernels::rle::{
    CocoCounts, EncodedMask, coco_string, coco_to_labels, coco_to_mask, extents, labels_to_coco,
    mask_to_coco,
};

fuzz_target!(|input: (u8, u8, &[u8])| {
    nucleus_fuzz::stay_on_this_thread();
    let (height, width, text) = input;
    let shape = (usize::from(height), usize::from(width));
    let lines = text.split(|&byte| byte == b'\n');
    let masks: Vec<_> = lines
        .map(|line| CocoCounts::Compressed(line.to_vec()))
        .collect();
    let encoded: Vec<EncodedMask<&str, Vec<u8>>> =
        masks.iter().cloned().map(EncodedMask::Coco).collect();
    let measured = extents(&encoded, shape);
    let mut labels = Array2::zeros(shape);
    let Ok(merge) = coco_to_labels(&masks, labels.view_mut()) else {
        assert!(measured.is_err());
        return;
    };
    nucleus_fuzz::check_pixels(&measured.expect("decoded as well"), &merge, &labels);

    for mask in &masks {
        let decoded = |counts: &CocoCounts<Vec<u8>>| {
            let mut columns = Array2::zeros((shape.1, shape.0));
            let pixels = columns.as_slice_mut().expect("it is new");
            coco_to_mask(counts, pixels).expect("it was read before");
            columns
        };
        let columns = decoded(mask);
        let counts = mask_to_coco(columns.t()).expect("a small image");
        assert_eq!(
            mask_to_coco(columns.t().as_standard_layout().view()),
            Ok(counts.clone())
        );
        let text = coco_string(&counts).into_bytes();
        assert_eq!(decoded(&CocoCounts::Compressed(text)), columns);
    }

    let strings =
        labels_to_coco(labels.view(), |counts| coco_string(&counts)).expect("a small image");
    let alone = strings.into_iter().map(|(label, text)| {
        let mut one = Array2::zeros(shape);
        coco_to_labels(&[CocoCounts::Compressed(text.into_bytes())], one.view_mut())
            .expect("we wrote it");
        (label, one)
    });
    assert_eq!(nucleus_fuzz::together(shape, alone), labels);
});
