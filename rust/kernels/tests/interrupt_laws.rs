//! Laws of interruption. In one test, as it ends every kernel of the process.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ndarray::Array2;
use nucleus_kernels::interrupt::{Interrupted, Interruption};
use nucleus_kernels::labels::components::{self, Connectivity};
use nucleus_kernels::labels::distance::distance;
use nucleus_kernels::labels::overlap::overlaps;
use nucleus_kernels::labels::watershed::watershed;
use nucleus_kernels::rle::{kaggle_to_labels, labels_to_kaggle};
use nucleus_kernels::shape::contour::contours;
use nucleus_kernels::shape::measure::measure;

type Kernel = (&'static str, fn(&Array2<u32>));

const KERNELS: [Kernel; 8] = [
    ("components", |labels| {
        let mut numbered = Array2::zeros(labels.dim());
        components::label(labels.view(), Connectivity::Four, numbered.view_mut()).unwrap();
    }),
    ("contours", |labels| drop(contours(labels.view()).unwrap())),
    ("distance", |labels| {
        distance(labels.view(), Array2::zeros(labels.dim()).view_mut()).unwrap();
    }),
    ("measure", |labels| {
        measure(labels.view(), None, None).unwrap();
    }),
    ("overlaps", |labels| {
        overlaps(labels.view(), labels.view()).unwrap();
    }),
    ("labels_to_kaggle", |labels| {
        labels_to_kaggle(labels.view());
    }),
    ("kaggle_to_labels", |labels| {
        kaggle_to_labels(&["1 3"], Array2::zeros(labels.dim()).view_mut()).unwrap();
    }),
    ("watershed", |labels| {
        let image = Array2::<u8>::zeros(labels.dim());
        let mut flooded = Array2::zeros(labels.dim());
        let eight = Connectivity::Eight;
        watershed(image.view(), labels.view(), None, eight, flooded.view_mut()).unwrap();
    }),
];

#[test]
fn kernels_end_while_an_interruption_is_kept_and_work_again_after_it() {
    let labels = Array2::from_shape_fn((100, 100), |(row, column)| {
        u32::from(row / 5 % 2 == 0 && column / 5 % 2 == 0)
    });
    for (name, kernel) in KERNELS {
        let interruption = Interruption::new();
        let ended = catch_unwind(AssertUnwindSafe(|| kernel(&labels)));
        let payload = ended.expect_err(name);
        assert!(payload.is::<Interrupted>(), "{name} panicked");
        drop(interruption);
        kernel(&labels);
    }
}
