//! Laws of interrupts: they end the kernels of one pool and no others.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ndarray::{Array2, Array3, Array4};
use nucleus_kernels::blend::blend_tiles;
use nucleus_kernels::interrupt::{Interrupt, Interrupted};
use nucleus_kernels::labels::components::{self, Connectivity};
use nucleus_kernels::labels::distance::distance;
use nucleus_kernels::labels::expand::expand_labels;
use nucleus_kernels::labels::fill::fill_holes;
use nucleus_kernels::labels::filter::{clear_border, filter_by_area};
use nucleus_kernels::labels::overlap::overlaps;
use nucleus_kernels::labels::relabel::relabel_sequential;
use nucleus_kernels::labels::runs::{draw_runs, label_runs};
use nucleus_kernels::labels::smooth::smooth_labels;
use nucleus_kernels::labels::watershed::watershed;
use nucleus_kernels::levels::{box_sums, count_values, normalise};
use nucleus_kernels::octave::halve;
use nucleus_kernels::resample::{Taps, resample};
use nucleus_kernels::rle::{EncodedMask, areas, kaggle_to_labels, labels_to_kaggle};
use nucleus_kernels::shape::contour::{Vertex, contours};
use nucleus_kernels::shape::measure::measure;
use nucleus_kernels::shape::simplify::simplify_ring;

type Kernel = (&'static str, fn(&Array2<u32>));

const KERNELS: [Kernel; 24] = [
    ("blend_tiles", |labels| {
        let (tiles, weights) = (Array4::zeros((1, 9, 9, 1)), Array2::ones((9, 9)));
        let mut canvas = Array3::zeros((labels.nrows(), labels.ncols(), 1));
        blend_tiles(tiles.view(), &[[0, 0]], weights.view(), canvas.view_mut()).unwrap();
    }),
    ("clear_border", |labels| {
        let mut kept = vec![0; labels.len()];
        clear_border(labels.as_slice().unwrap(), labels.ncols(), &mut kept);
    }),
    ("expand_labels", |labels| {
        expand_labels(labels.view(), Array2::zeros(labels.dim()).view_mut(), 3.0).unwrap();
    }),
    ("fill_holes", |labels| {
        fill_holes(labels.view(), Array2::zeros(labels.dim()).view_mut());
    }),
    ("filter_by_area", |labels| {
        let mut kept = vec![0; labels.len()];
        filter_by_area(labels.as_slice().unwrap(), &mut kept, 2..=9);
    }),
    ("relabel_sequential", |labels| {
        relabel_sequential(labels.as_slice().unwrap(), &mut vec![0; labels.len()]);
    }),
    ("rle areas", |labels| {
        let masks: [EncodedMask<&str, &[u8]>; 1] = [EncodedMask::Kaggle("1 3")];
        areas(&masks, labels.dim()).unwrap();
    }),
    ("simplify_ring", |_| {
        let ring: [Vertex; 5] = [[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]];
        simplify_ring(&ring, 1.0).unwrap();
    }),
    ("smooth_labels", |labels| {
        smooth_labels(labels.view(), Array2::zeros(labels.dim()).view_mut(), 2).unwrap();
    }),
    ("components", |labels| {
        let mut numbered = Array2::zeros(labels.dim());
        components::label(labels.view(), Connectivity::Four, numbered.view_mut()).unwrap();
    }),
    ("contours", |labels| drop(contours(labels.view()).unwrap())),
    ("distance", |labels| {
        distance(labels.view(), Array2::zeros(labels.dim()).view_mut()).unwrap();
    }),
    ("count_values", |labels| {
        drop(count_values(&vec![1_u8; labels.len()]))
    }),
    ("box_sums", |labels| {
        let (rows, columns) = labels.dim();
        let pixels = vec![1_u8; labels.len()];
        drop(box_sums(&pixels, columns, 1, &[0, rows], &[0, columns]));
    }),
    ("halve", |labels| {
        let pixels = Array2::zeros(labels.dim());
        let mut means = Array2::zeros((labels.nrows() / 2, labels.ncols() / 2));
        halve(pixels.view(), means.view_mut()).unwrap();
    }),
    ("resample", |labels| {
        let (rows, columns) = labels.dim();
        let (first, weight) = (Array2::zeros((1, 1)), Array2::ones((1, 1)));
        let taps = Taps {
            pixels: first.view(),
            weights: weight.view(),
        };
        let pixels = Array3::zeros((rows, columns, 1));
        let mut resampled = Array3::zeros((1, 1, 1));
        resample(pixels.view(), taps, taps, resampled.view_mut()).unwrap();
    }),
    ("normalise", |labels| {
        normalise(
            &vec![1_u8; labels.len()],
            0.0,
            1.0,
            &mut vec![0.0; labels.len()],
        );
    }),
    ("label_runs", |labels| {
        drop(label_runs(labels.view()).unwrap())
    }),
    ("draw_runs", |labels| {
        draw_runs(
            &[[0, 0, 1]],
            &[1],
            [0, 0],
            Array2::zeros(labels.dim()).view_mut(),
        )
        .unwrap();
    }),
    ("measure", |labels| {
        measure::<f32>(labels.view(), None).unwrap();
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
fn kernels_end_on_the_threads_of_a_requested_interrupt_and_on_no_others() {
    let labels = Array2::from_shape_fn((100, 100), |(row, column)| {
        u32::from(row / 5 % 2 == 0 && column / 5 % 2 == 0)
    });
    let (requested, other) = (Interrupt::default(), Interrupt::default());
    let [ending, going_on] = [&requested, &other].map(|interrupt| interrupt.pool(2).unwrap());
    requested.request();
    for (name, kernel) in KERNELS {
        let ended = catch_unwind(AssertUnwindSafe(|| ending.install(|| kernel(&labels))));
        let payload = ended.expect_err(name);
        assert!(payload.is::<Interrupted>(), "{name} panicked");
        going_on.install(|| kernel(&labels));
        kernel(&labels);
    }
    requested.reset();
    for (_, kernel) in KERNELS {
        ending.install(|| kernel(&labels));
    }
}
