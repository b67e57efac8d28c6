//! Laws of run-length encoding: decoding undoes encoding, nothing depends on threads, no input panics.

mod common;

use std::collections::BTreeSet;

use common::{label_images, same_at_any_thread_count};
use ndarray::{Array2, ArrayView2, arr0};
use nucleus_kernels::Error;
use nucleus_kernels::merge::{Merge, Overlap};
use nucleus_kernels::rle::{
    CocoCounts, EncodedMask, Extent, coco_string, coco_to_labels, coco_to_mask, extents,
    kaggle_to_labels, labels_to_coco, labels_to_kaggle, mask_to_coco, rle_iou, run_masks,
};
use nucleus_kernels::shape::measure::measure;
use proptest::prelude::*;

/// The image that all instances decode to, in the order of their labels: labels replaced by their rank.
fn ranked(labels: ArrayView2<'_, u32>) -> Array2<u32> {
    let present: BTreeSet<u32> = labels.iter().copied().filter(|&label| label != 0).collect();
    labels.map(|label| {
        let rank = present.iter().position(|other| other == label);
        rank.map_or(0, |rank| rank as u32 + 1)
    })
}

fn decode_kaggle(masks: &[&str], shape: (usize, usize)) -> Result<(Array2<u32>, Merge), Error> {
    let mut labels = Array2::zeros(shape);
    let merge = kaggle_to_labels(masks, labels.view_mut())?;
    Ok((labels, merge))
}

fn decode_coco(
    masks: &[CocoCounts<Vec<u8>>],
    shape: (usize, usize),
) -> Result<(Array2<u32>, Merge), Error> {
    let mut labels = Array2::zeros(shape);
    let merge = coco_to_labels(masks, labels.view_mut())?;
    Ok((labels, merge))
}

/// Counts of one instance, pixel by pixel down the columns.
fn naive_counts(labels: ArrayView2<'_, u32>, label: u32) -> Vec<u32> {
    let mut counts = vec![0];
    let mut inside = false;
    for &pixel in labels.t().iter() {
        if (pixel == label) != inside {
            inside = !inside;
            counts.push(0);
        }
        *counts.last_mut().unwrap() += 1;
    }
    counts
}

proptest! {
    #[test]
    fn decoding_kaggle_undoes_encoding(image in label_images()) {
        let encoded = labels_to_kaggle(image.view());
        let texts: Vec<&str> = encoded.iter().map(|(_, text)| text.as_str()).collect();
        let (decoded, merge) = decode_kaggle(&texts, image.dim()).unwrap();
        prop_assert_eq!(decoded, ranked(image.view()));
        prop_assert_eq!(merge, Merge::default());
    }

    #[test]
    fn decoding_coco_undoes_encoding_compressed_or_not(image in label_images()) {
        let encoded = labels_to_coco(image.view(), |counts| counts).unwrap();
        let plain: Vec<_> = encoded.iter().map(|(_, counts)| {
            CocoCounts::Plain(counts.iter().map(|&count| i64::from(count)).collect())
        }).collect();
        let compressed: Vec<_> = encoded.iter().map(|(_, counts)| {
            CocoCounts::Compressed(coco_string(counts).into_bytes())
        }).collect();
        for masks in [plain, compressed] {
            let (decoded, merge) = decode_coco(&masks, image.dim()).unwrap();
            prop_assert_eq!(decoded, ranked(image.view()));
            prop_assert_eq!(merge, Merge::default());
        }
    }

    #[test]
    fn coco_counts_are_those_of_a_walk_down_the_columns(image in label_images()) {
        for (label, counts) in labels_to_coco(image.view(), |counts| counts).unwrap() {
            prop_assert_eq!(counts, naive_counts(image.view(), label));
        }
    }

    #[test]
    fn one_mask_is_encoded_as_a_walk_down_the_columns_in_either_memory_order(
        image in label_images(), outside in 0_u32..3
    ) {
        // Pixels of all values but 0 belong to the mask.
        let mask = image.map(|&label| if label == outside { 0 } else { label as u8 % 3 + 1 });
        let (one, columns) = (image.map(|&label| u32::from(label != outside)), mask.t().as_standard_layout().into_owned());
        let expected = naive_counts(one.view(), 1);
        let counts = same_at_any_thread_count(|| mask_to_coco(mask.view()).unwrap());
        prop_assert_eq!(&counts, &expected);
        let counts = same_at_any_thread_count(|| mask_to_coco(columns.t()).unwrap());
        prop_assert_eq!(&counts, &expected);
    }

    #[test]
    fn decoding_one_mask_undoes_encoding(image in label_images()) {
        let mask = image.map(|&label| u8::from(label != 0));
        let counts = mask_to_coco(mask.view()).unwrap();
        let plain = CocoCounts::Plain(counts.iter().map(|&count| i64::from(count)).collect());
        let expected: Vec<u8> = mask.t().iter().copied().collect();
        for counts in [plain, CocoCounts::Compressed(coco_string(&counts).into_bytes())] {
            let mut columns = vec![0; mask.len()];
            coco_to_mask(&counts, &mut columns).unwrap();
            prop_assert_eq!(&columns, &expected);
        }
    }

    #[test]
    fn counts_are_refused_alike_compressed_or_not(counts in proptest::collection::vec(0_u32..40, 0..9)) {
        let plain = CocoCounts::Plain(counts.iter().map(|&count| i64::from(count)).collect());
        let compressed = CocoCounts::Compressed(coco_string(&counts).into_bytes());
        prop_assert_eq!(decode_coco(&[plain], (7, 9)), decode_coco(&[compressed], (7, 9)));
    }

    #[test]
    fn a_view_in_any_memory_order_encodes_alike(image in label_images()) {
        let column_major = image.t().as_standard_layout().into_owned();
        prop_assert_eq!(labels_to_kaggle(column_major.t()), labels_to_kaggle(image.view()));
    }

    #[test]
    fn encoding_is_the_same_at_any_thread_count(image in label_images()) {
        same_at_any_thread_count(|| (labels_to_kaggle(image.view()), labels_to_coco(image.view(), |counts| counts).unwrap()));
    }

    #[test]
    fn decoding_masks_that_overlap_is_the_same_at_any_thread_count(
        runs in proptest::collection::vec((1_u64..2000, 1_u64..400), 0..20)
    ) {
        let texts: Vec<String> = runs.iter().map(|(start, length)| format!("{start} {length}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (labels, merge) = same_at_any_thread_count(|| decode_kaggle(&texts, (12, 200)).unwrap());
        let claimed: u64 = runs.iter().map(|(_, length)| length).sum();
        let kept = labels.iter().filter(|&&label| label != 0).count() as u64;
        let lost: u64 = merge.overlaps.iter().map(|overlap| overlap.pixels).sum();
        prop_assert_eq!(claimed, kept + lost);
        let absent = |label: &usize| !labels.iter().any(|&pixel| pixel as usize == label + 1);
        let hidden: Vec<usize> = (0..texts.len()).filter(absent).collect();
        prop_assert_eq!(merge.hidden, hidden);
    }

    #[test]
    fn the_first_faulty_mask_is_named_at_any_thread_count(good in 0_usize..40) {
        let mut texts = vec!["1 1"; good];
        texts.extend(["0 1", "1 x", "9"]);
        let error = same_at_any_thread_count(|| decode_kaggle(&texts, (2, 2)).unwrap_err());
        let named = format!("mask {good}, ");
        prop_assert!(error.to_string().starts_with(&named));
    }

    #[test]
    fn any_string_decodes_or_is_refused(text in "[-+0-9 x\u{e9}]{0,30}|.*") {
        let _ = decode_kaggle(&[&text], (7, 9));
        let _ = decode_coco(&[CocoCounts::Compressed(text.into_bytes())], (7, 9));
    }

    #[test]
    fn any_bytes_of_compressed_counts_decode_or_are_refused(text in "[0-o]{0,30}") {
        let _ = decode_coco(&[CocoCounts::Compressed(text.into_bytes())], (7, 9));
    }

    #[test]
    fn any_counts_decode_or_are_refused(counts in proptest::collection::vec(any::<i64>(), 0..9)) {
        let _ = decode_coco(&[CocoCounts::Plain(counts)], (7, 9));
    }
}

proptest! {
    #[test]
    fn areas_boxes_and_iou_are_those_of_the_pixels(labels in label_images()) {
        let encoded = labels_to_kaggle(labels.view());
        let masks: Vec<_> = encoded.iter().map(|(_, text)| EncodedMask::<_, Vec<u8>>::Kaggle(text)).collect();
        let without_runs = extents(&masks, labels.dim()).unwrap();
        let all = labels.mapv(|label| u32::from(label != 0));
        let whole: Vec<_> = labels_to_coco(all.view(), |counts| counts)
            .unwrap()
            .into_iter()
            .map(|(_, counts)| counts.into_iter().map(i64::from).collect())
            .map(|counts| EncodedMask::<&str, Vec<u8>>::Coco(CocoCounts::Plain(counts)))
            .collect();
        let (masks, whole) = (run_masks(&masks, labels.dim()).unwrap(), run_masks(&whole, labels.dim()).unwrap());
        prop_assert!(masks.iter().map(|mask| &mask.extent).eq(&without_runs));
        let foreground = all.sum() as f64;
        let measured = measure::<f32>(labels.view(), None).unwrap();
        for (mask, expected) in masks.iter().zip(&measured) {
            let Extent { area, bounding_box } = mask.extent;
            prop_assert_eq!((area, bounding_box), (expected.area, expected.bounding_box));
        }
        let mut iou = Array2::zeros((masks.len(), whole.len()));
        rle_iou(&masks, &whole, iou.view_mut());
        let expected: Vec<f64> = measured.iter().map(|row| row.area as f64 / foreground).collect();
        prop_assert_eq!(iou.into_raw_vec_and_offset().0, expected);
        let with_each_other = same_at_any_thread_count(|| {
            let mut iou = Array2::zeros((masks.len(), masks.len()));
            rle_iou(&masks, &masks, iou.view_mut());
            iou
        });
        prop_assert_eq!(with_each_other, Array2::eye(masks.len()));
    }
}

#[test]
fn of_three_masks_the_first_keeps_a_pixel_and_both_others_lose_it_to_the_first() {
    let (labels, merge) = decode_kaggle(&["1 3", "3 2", "3 1", ""], (2, 2)).unwrap();
    assert_eq!(labels.t().iter().copied().collect::<Vec<_>>(), [1, 1, 1, 2]);
    let [first, second] = [1, 2].map(|later| Overlap {
        earlier: 0,
        later,
        pixels: 1,
    });
    assert_eq!(
        merge,
        Merge {
            overlaps: vec![first, second],
            empty: vec![3],
            hidden: vec![2]
        }
    );
}

#[test]
fn runs_of_a_mask_may_come_in_any_order() {
    let (labels, _) = decode_kaggle(&["4 1 1 2"], (2, 2)).unwrap();
    assert_eq!(labels, ndarray::arr2(&[[1, 0], [1, 1]]));
}

#[test]
fn an_overlap_within_a_mask_names_both_pairs_and_the_pixel() {
    let error = decode_kaggle(&["", "3 2 1 2 2 1"], (2, 2)).unwrap_err();
    let message = "mask 1, pair 2 overlaps pair 1: both claim pixel 2 (column-major, from 1)";
    assert_eq!(error, Error::Data(message.into()));
}

#[test]
fn coco_refuses_an_image_whose_pixels_exceed_32_bits() {
    let pixel = arr0(1_u32);
    let image = pixel.broadcast((1 << 16, 1 << 16)).unwrap();
    let error = labels_to_coco(image, |counts| counts).unwrap_err();
    assert!(error.to_string().contains("65536 x 65536 pixels exceed"));
}

#[test]
fn a_start_beyond_32_bits_is_read_whole() {
    let error = decode_kaggle(&["6442450945 1"], (1, 3)).unwrap_err();
    let message =
        "mask 0, pair 0: start 6442450945 and length 1 run past the last pixel of the image, 3";
    assert_eq!(error, Error::Data(message.into()));
}
