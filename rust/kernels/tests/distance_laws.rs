//! Laws of distances: they equal those of brute force.

mod common;

use common::{label_images, same_at_any_thread_count};
use ndarray::{Array2, Axis, concatenate, s};
use nucleus_kernels::Error;
use nucleus_kernels::labels::distance::distance;
use proptest::prelude::*;

/// Images with mostly large pieces: every pixel is repeated, and some are changed then.
fn images() -> impl Strategy<Value = Array2<u32>> {
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), 0_u32..4), 0..6);
    (label_images(), 1_usize..9, 1_usize..9, changes).prop_map(|(image, down, right, changes)| {
        let image = image.slice(s![.., ..12.min(image.ncols())]);
        let (rows, columns) = image.dim();
        let mut larger = Array2::from_shape_fn((rows * down, columns * right), |(row, column)| {
            image[[row / down, column / right]]
        });
        if let Some(pixels) = larger.as_slice_mut()
            && !pixels.is_empty()
        {
            for (place, value) in changes {
                pixels[place.index(pixels.len())] = value;
            }
        }
        larger
    })
}

/// Few rows with runs of one pixel to some hundred pixels, so that distances are near and far.
fn long_rows() -> impl Strategy<Value = Array2<u32>> {
    let run = (0_u32..3, prop_oneof![1_usize..12, 100_usize..300]);
    let row = proptest::collection::vec(run, 1..8);
    proptest::collection::vec((row, 1_usize..3), 1..4).prop_map(|rows| {
        let pixels: Vec<Vec<u32>> = rows
            .iter()
            .flat_map(|(runs, copies)| {
                let row = runs.iter().flat_map(|&(label, length)| vec![label; length]);
                vec![row.collect(); *copies]
            })
            .collect();
        let columns = pixels.iter().map(Vec::len).max().unwrap_or(0);
        Array2::from_shape_fn((pixels.len(), columns), |(row, column)| {
            pixels[row].get(column).copied().unwrap_or(1)
        })
    })
}

fn distances<T: Copy + PartialEq + Default + Send + Sync>(image: &Array2<T>) -> Array2<f32> {
    let mut distances = Array2::from_elem(image.dim(), f32::NAN);
    distance(image.view(), distances.view_mut()).unwrap();
    distances
}

/// The distances by a comparison of every pixel with every other.
fn brute_force(image: &Array2<u32>) -> Array2<f32> {
    let squared = |row: usize, column: usize, label: u32| {
        image
            .indexed_iter()
            .filter(|&(_, &other)| other != label)
            .map(|((y, x), _)| y.abs_diff(row).pow(2) + x.abs_diff(column).pow(2))
            .min()
    };
    Array2::from_shape_fn(image.dim(), |(row, column)| match image[[row, column]] {
        0 => 0.0,
        label => squared(row, column, label)
            .map_or(f32::INFINITY, |squared| (squared as f64).sqrt() as f32),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn distances_are_those_that_brute_force_finds(image in images()) {
        prop_assert_eq!(distances(&image), brute_force(&image));
    }

    #[test]
    fn distances_are_those_that_brute_force_finds_in_small_pieces(image in label_images()) {
        prop_assert_eq!(distances(&image), brute_force(&image));
    }

    #[test]
    fn near_and_far_pixels_of_a_row_are_found_alike(image in long_rows()) {
        prop_assert_eq!(distances(&image), brute_force(&image));
    }

    #[test]
    fn turning_the_image_turns_the_distances(image in images()) {
        let turned = distances(&image.t().to_owned());
        prop_assert_eq!(turned.t(), distances(&image));
    }

    #[test]
    fn distances_are_the_same_at_any_thread_count(image in images()) {
        let copies = concatenate(Axis(1), &vec![image.view(); 7]).unwrap();
        same_at_any_thread_count(|| distances(&copies));
    }

    #[test]
    fn narrower_pixels_and_memory_order_change_nothing(image in images()) {
        let expected = distances(&image);
        prop_assert_eq!(&distances(&image.mapv(|value| value as u8)), &expected);
        prop_assert_eq!(&distances(&image.mapv(|value| value as u16)), &expected);
        let mut turned = Array2::zeros((image.ncols(), image.nrows()));
        distance(image.view(), turned.view_mut().reversed_axes()).unwrap();
        prop_assert_eq!(turned.t(), expected);
    }
}

#[test]
fn without_another_label_anywhere_distances_are_infinite() {
    let image = Array2::from_elem((3, 40), 7_u32);
    assert!(
        distances(&image)
            .iter()
            .all(|&distance| distance == f32::INFINITY)
    );
}

#[test]
fn far_pixels_are_exact_to_the_last_bit() {
    let mut image = Array2::from_elem((5000, 3), 1_u8);
    image[[0, 0]] = 0;
    let expected = ((4999_f64).powi(2) + 4.0).sqrt() as f32;
    assert_eq!(distances(&image)[[4999, 2]], expected);
}

#[test]
fn an_array_of_another_shape_is_refused() {
    let image = Array2::<u8>::zeros((2, 3));
    let mut wrong = Array2::zeros((3, 2));
    assert_eq!(
        distance(image.view(), wrong.view_mut()),
        Err(Error::Data(
            "distances: expected the image's shape (2, 3), got (3, 2)".into()
        ))
    );
}

#[test]
fn an_image_whose_distances_would_not_be_exact_is_refused() {
    let pixel = Array2::<u8>::zeros((1, 1));
    let image = pixel.broadcast((1, (1 << 24) + 1)).unwrap();
    let mut none = Array2::zeros((0, 0));
    assert_eq!(
        distance(image, none.view_mut()),
        Err(Error::Data(
            "image: expected at most 2^24 pixels a side, got 1 x 16777217".into()
        ))
    );
}
