//! Helpers of the laws: label images, and thread pools of several sizes.
#![allow(dead_code, reason = "each file of laws uses what it needs")]

use ndarray::Array2;
use proptest::prelude::*;

/// Label images of up to 12 x 150 pixels. Some span several strips of columns; some have no pixel. Labels are few, so that
/// runs cross columns; one of them is the largest label.
pub fn label_images() -> impl Strategy<Value = Array2<u32>> {
    (0_usize..12, 0_usize..150).prop_flat_map(|shape| {
        let labels = prop_oneof![4 => Just(0), 4 => Just(1), 1 => 2_u32..5, 1 => Just(u32::MAX)];
        proptest::collection::vec(labels, shape.0 * shape.1)
            .prop_map(move |pixels| Array2::from_shape_vec(shape, pixels).unwrap())
    })
}

/// Run `work` on pools of one, two and five threads, assert equal results, and return the result.
pub fn same_at_any_thread_count<T: PartialEq + std::fmt::Debug + Send>(
    work: impl Fn() -> T + Sync,
) -> T {
    let [one, two, five] = [1, 2, 5].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(&work)
    });
    assert_eq!(one, two);
    assert_eq!(one, five);
    one
}
