//! Laws of the contingency table.

mod common;

use std::collections::BTreeMap;

use common::{label_images, same_at_any_thread_count};
use ndarray::{Array2, Axis, concatenate};
use nucleus_kernels::Error;
use nucleus_kernels::labels::overlap::{Cell, contingency};
use proptest::prelude::*;

/// Two images of one shape, the second with reversed rows, high enough for several parts.
fn pairs() -> impl Strategy<Value = (Array2<u32>, Array2<u32>)> {
    label_images().prop_map(|image| {
        let copies = vec![image.view(); 12];
        let tall = concatenate(Axis(0), &copies).unwrap();
        let mut flipped = tall.clone();
        flipped.invert_axis(Axis(0));
        (tall, flipped)
    })
}

proptest! {
    #[test]
    fn every_pixel_is_counted_once_in_the_cell_of_its_labels((a, b) in pairs()) {
        let mut expected = BTreeMap::new();
        for pair in a.iter().copied().zip(b.iter().copied()) {
            *expected.entry(pair).or_insert(0) += 1;
        }
        let expected: Vec<Cell> =
            expected.into_iter().map(|((a, b), pixels)| Cell { a, b, pixels }).collect();
        prop_assert_eq!(contingency(a.view(), b.view()).unwrap(), expected);
    }

    #[test]
    fn the_table_is_the_same_at_any_thread_count((a, b) in pairs()) {
        same_at_any_thread_count(|| contingency(a.view(), b.view()).unwrap());
    }
}

#[test]
fn images_of_two_shapes_are_refused() {
    let (a, b) = (Array2::zeros((2, 3)), Array2::zeros((3, 2)));
    let message = "expected two label images of one shape, got 2 x 3 and 3 x 2";
    let refused = Error::Data(message.into());
    assert_eq!(contingency(a.view(), b.view()), Err(refused));
}
