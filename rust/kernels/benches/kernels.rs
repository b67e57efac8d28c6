//! Times of the kernels on label images of discs, of specks and without nuclei. `benchmarks/kernels.py` compares them with
//! other libraries.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ndarray::Array2;
use nucleus_kernels::labels::components::{self, Connectivity};
use nucleus_kernels::labels::distance::distance;
use nucleus_kernels::labels::overlap::overlaps;
use nucleus_kernels::labels::watershed::watershed;
use nucleus_kernels::rle::{
    CocoCounts, EncodedMask, coco_string, coco_to_labels, extents, kaggle_to_labels,
    labels_to_coco, labels_to_kaggle, rle_iou, run_masks,
};
use nucleus_kernels::shape::contour::contours;
use nucleus_kernels::shape::measure::measure;

/// Rows and columns of the images.
const SIDE: usize = 1024;

type Labels = Array2<u32>;

/// Discs with a diameter of 20 pixels on a grid of 24, as nuclei in a crowded field.
fn discs() -> Labels {
    const STEP: usize = 24;
    Array2::from_shape_fn((SIDE, SIDE), |(row, column)| {
        let [down, right] = [row, column].map(|place| (place % STEP) as i64 - 12);
        let label = row / STEP * SIDE + column / STEP + 1;
        if down * down + right * right < 100 {
            label as u32
        } else {
            0
        }
    })
}

/// Nuclei of one pixel on every other row and column.
fn specks() -> Labels {
    Array2::from_shape_fn((SIDE, SIDE), |(row, column)| {
        let is_speck = row % 2 == 0 && column % 2 == 0;
        if is_speck {
            (row * SIDE + column + 1) as u32
        } else {
            0
        }
    })
}

fn scenes() -> [(&'static str, Labels); 3] {
    let empty = Array2::zeros((SIDE, SIDE));
    [("discs", discs()), ("specks", specks()), ("empty", empty)]
}

/// A group for `kernel`, timed on every scene.
fn on_scenes(criterion: &mut Criterion, kernel: &str, work: impl Fn(&Labels)) {
    let mut group = criterion.benchmark_group(kernel);
    for (name, labels) in scenes() {
        group.bench_with_input(
            BenchmarkId::from_parameter(name),
            &labels,
            |bencher, labels| {
                bencher.iter(|| work(labels));
            },
        );
    }
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    on_scenes(criterion, "labels_to_kaggle", |labels| {
        black_box(labels_to_kaggle(labels.view()));
    });
    on_scenes(criterion, "labels_to_coco", |labels| {
        black_box(labels_to_coco(labels.view(), |counts| coco_string(&counts)).unwrap());
    });
}

fn decode(criterion: &mut Criterion) {
    let labels = discs();
    let texts = |pairs: Vec<(u32, String)>| pairs.into_iter().map(|(_, text)| text);
    let kaggle: Vec<String> = texts(labels_to_kaggle(labels.view())).collect();
    let coco: Vec<CocoCounts<Vec<u8>>> =
        texts(labels_to_coco(labels.view(), |counts| coco_string(&counts)).unwrap())
            .map(|text| CocoCounts::Compressed(text.into_bytes()))
            .collect();
    let encoded: Vec<EncodedMask<&str, Vec<u8>>> =
        coco.iter().cloned().map(EncodedMask::Coco).collect();
    let masks = run_masks(&encoded, labels.dim()).unwrap();
    let blank = || Array2::zeros(labels.dim());

    let mut group = criterion.benchmark_group("encoded masks");
    group.bench_function("kaggle_to_labels", |bencher| {
        bencher.iter(|| kaggle_to_labels(&kaggle, blank().view_mut()).unwrap());
    });
    group.bench_function("coco_to_labels", |bencher| {
        bencher.iter(|| coco_to_labels(&coco, blank().view_mut()).unwrap());
    });
    group.bench_function("extents", |bencher| {
        bencher.iter(|| extents(&encoded, labels.dim()).unwrap());
    });
    group.bench_function("rle_iou", |bencher| {
        bencher.iter(|| {
            let mut iou = Array2::zeros((masks.len(), masks.len()));
            rle_iou(&masks, &masks, iou.view_mut());
            iou
        });
    });
    group.finish();
}

fn regions(criterion: &mut Criterion) {
    on_scenes(criterion, "components", |labels| {
        let mut numbered = Array2::zeros(labels.dim());
        components::label(labels.view(), Connectivity::Four, numbered.view_mut()).unwrap();
        black_box(numbered);
    });
    on_scenes(criterion, "distance", |labels| {
        let mut distances = Array2::zeros(labels.dim());
        distance(labels.view(), distances.view_mut()).unwrap();
        black_box(distances);
    });
}

fn tables(criterion: &mut Criterion) {
    let discs = discs();
    on_scenes(criterion, "measure", |labels| {
        black_box(measure::<f32>(labels.view(), None).unwrap());
    });
    let turned = Array2::from_shape_fn((SIDE, SIDE), |(row, column)| discs[[column, row]]);
    on_scenes(criterion, "overlaps", |labels| {
        black_box(overlaps(labels.view(), turned.view()).unwrap());
    });
}

fn outlines(criterion: &mut Criterion) {
    on_scenes(criterion, "contours", |labels| {
        black_box(contours(labels.view()).unwrap());
    });
}

/// The watershed from the middles of discs outwards, by distance.
fn floods(criterion: &mut Criterion) {
    let labels = discs();
    let mut distances = Array2::zeros(labels.dim());
    distance(labels.view(), distances.view_mut()).unwrap();
    let mask = labels.mapv(|label| label != 0);
    let mut markers = labels;
    markers.zip_mut_with(&distances, |label, &distance| {
        *label *= u32::from(distance >= 4.0);
    });
    let image = distances.mapv(|distance| -distance);
    let bytes = distances.mapv(|distance| 255 - (8.0 * distance) as u8);

    let mut group = criterion.benchmark_group("watershed");
    let four = Connectivity::Four;
    group.bench_function("f32", |bencher| {
        bencher.iter(|| {
            let mut flooded = Array2::zeros(image.dim());
            let mask = Some(mask.view());
            watershed(image.view(), markers.view(), mask, four, flooded.view_mut()).unwrap();
            flooded
        });
    });
    group.bench_function("u8", |bencher| {
        bencher.iter(|| {
            let mut flooded = Array2::zeros(bytes.dim());
            let mask = Some(mask.view());
            watershed(bytes.view(), markers.view(), mask, four, flooded.view_mut()).unwrap();
            flooded
        });
    });
    group.finish();
}

criterion_group!(all, encode, decode, regions, tables, outlines, floods);
criterion_main!(all);
