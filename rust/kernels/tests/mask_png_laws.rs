//! Laws of merging mask PNGs.

mod common;

use common::same_at_any_thread_count;
use ndarray::Array2;
use nucleus_kernels::Error;
use nucleus_kernels::mask_png::{merge_mask_pngs, shape};
use nucleus_kernels::merge::Merge;
use png::{BitDepth, ColorType, Encoder};
use proptest::prelude::*;

const HEIGHT: usize = 5;
const WIDTH: usize = 7;

fn grey_png(pixels: &[bool]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, WIDTH as u32, HEIGHT as u32);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::Eight);
    let samples: Vec<u8> = pixels.iter().map(|&inside| u8::from(inside)).collect();
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&samples)
        .unwrap();
    file
}

fn merge(files: &[Vec<u8>]) -> Result<(Array2<u32>, Merge), Error> {
    let mut labels = Array2::zeros((HEIGHT, WIDTH));
    let merge = merge_mask_pngs(files, labels.view_mut())?;
    Ok((labels, merge))
}

fn masks() -> impl Strategy<Value = Vec<Vec<bool>>> {
    let mask = proptest::collection::vec(proptest::bool::weighted(0.2), HEIGHT * WIDTH);
    // More files than one batch has.
    proptest::collection::vec(mask, 0..100)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_pixel_goes_to_the_first_mask_that_claims_it_at_any_thread_count(masks in masks()) {
        let files: Vec<_> = masks.iter().map(|mask| grey_png(mask)).collect();
        let (labels, merge) = same_at_any_thread_count(|| merge(&files).unwrap());
        for (pixel, &label) in labels.iter().enumerate() {
            let first = masks.iter().position(|mask| mask[pixel]);
            prop_assert_eq!(label, first.map_or(0, |mask| mask as u32 + 1));
        }
        for overlap in merge.overlaps {
            let lost = (0..HEIGHT * WIDTH).filter(|&pixel| {
                masks[overlap.later][pixel] && labels[(pixel / WIDTH, pixel % WIDTH)] as usize == overlap.earlier + 1
            });
            prop_assert_eq!(lost.count() as u64, overlap.pixels);
        }
        let empty: Vec<_> = (0..masks.len()).filter(|&mask| !masks[mask].contains(&true)).collect();
        prop_assert_eq!(merge.empty, empty);
    }

    #[test]
    fn the_first_damaged_file_is_named_at_any_thread_count(good in 0_usize..100) {
        let mut files = vec![grey_png(&[true; HEIGHT * WIDTH]); good];
        files.extend([vec![1, 2, 3], vec![]]);
        let message = same_at_any_thread_count(|| merge(&files).unwrap_err().to_string());
        let expected = format!("mask {good}: ");
        prop_assert!(message.starts_with(&expected), "{}", message);
    }

    #[test]
    fn a_file_with_one_byte_changed_never_panics(place in 0_usize..70, byte in any::<u8>()) {
        let mut file = grey_png(&[true; HEIGHT * WIDTH]);
        let place = place % file.len();
        file[place] = byte;
        let _ = shape(&file);
        let _ = merge(&[file]);
    }
}

#[test]
fn a_file_cut_anywhere_is_damaged() {
    let file = grey_png(&[true; HEIGHT * WIDTH]);
    for length in 0..file.len() {
        let cut = file[..length].to_vec();
        let message = merge(&[cut]).unwrap_err().to_string();
        assert!(
            message.starts_with("mask 0: not a readable PNG: "),
            "cut to {length} of {} bytes: {message}",
            file.len()
        );
    }
}
