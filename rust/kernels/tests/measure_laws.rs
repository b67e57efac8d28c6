//! Laws of measurements: they equal those of a count pixel by pixel.

mod common;

use std::collections::BTreeSet;

use common::{label_images, same_at_any_thread_count};
use ndarray::{Array2, ArrayView2, s};
use nucleus_kernels::shape::measure::{Measurement, measure};
use proptest::prelude::*;

/// Labels with an intensity for every pixel.
fn images() -> impl Strategy<Value = (Array2<u32>, Array2<f32>)> {
    (label_images(), any::<u64>()).prop_map(|(labels, seed)| {
        let noise = |pixel: (usize, usize)| {
            let place = (pixel.0 * 1000 + pixel.1) as u64;
            (seed ^ place).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40
        };
        let intensity = Array2::from_shape_fn(labels.dim(), |pixel| noise(pixel) as f32 / 1000.0);
        (labels, intensity)
    })
}

fn by_definition(labels: &Array2<u32>, intensity: &Array2<f32>) -> Vec<Measurement> {
    let present: BTreeSet<u32> = labels.iter().copied().filter(|&label| label != 0).collect();
    let measured = |label: u32| {
        let pixels: Vec<(usize, usize)> = labels
            .indexed_iter()
            .filter(|(_, found)| **found == label)
            .map(|(pixel, _)| pixel)
            .collect();
        let mean = |value: &dyn Fn((usize, usize)) -> f64| {
            pixels.iter().map(|&pixel| value(pixel)).sum::<f64>() / pixels.len() as f64
        };
        let rows: Vec<usize> = pixels.iter().map(|pixel| pixel.0).collect();
        let columns: Vec<usize> = pixels.iter().map(|pixel| pixel.1).collect();
        let first = |places: &[usize]| *places.iter().min().unwrap();
        let end = |places: &[usize]| *places.iter().max().unwrap() + 1;
        Measurement {
            label,
            area: pixels.len() as u64,
            bounding_box: [first(&rows), first(&columns), end(&rows), end(&columns)],
            centroid: [mean(&|pixel| pixel.0 as f64), mean(&|pixel| pixel.1 as f64)],
            mean_intensity: Some(mean(&|pixel| f64::from(intensity[pixel]))),
        }
    };
    present.into_iter().map(measured).collect()
}

fn close(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-12 * one.abs().max(other.abs())
}

proptest! {
    #[test]
    fn measuring_counts_every_pixel((labels, intensity) in images()) {
        let measured = measure(labels.view(), Some(intensity.view())).unwrap();
        let expected = by_definition(&labels, &intensity);
        prop_assert_eq!(measured.len(), expected.len());
        for (got, expected) in measured.iter().zip(&expected) {
            prop_assert_eq!((got.label, got.area), (expected.label, expected.area));
            prop_assert_eq!(got.bounding_box, expected.bounding_box);
            prop_assert!((0..2).all(|axis| close(got.centroid[axis], expected.centroid[axis])));
            prop_assert!(close(got.mean_intensity.unwrap(), expected.mean_intensity.unwrap()));
        }
    }

    #[test]
    fn a_nucleus_measures_the_same_wherever_it_lies((labels, intensity) in images(), down in 0_usize..300) {
        let measured = measure(labels.view(), Some(intensity.view())).unwrap();
        let (rows, columns) = labels.dim();
        let mut lower = (
            Array2::zeros((rows + down, columns)),
            Array2::zeros((rows + down, columns)),
        );
        lower.0.slice_mut(s![down.., ..]).assign(&labels);
        lower.1.slice_mut(s![down.., ..]).assign(&intensity);
        let moved = measure(lower.0.view(), Some(lower.1.view())).unwrap();
        let means = |table: &[Measurement]| -> Vec<_> {
            table.iter().map(|row| (row.label, row.area, row.mean_intensity)).collect()
        };
        prop_assert_eq!(means(&moved), means(&measured));
    }

    #[test]
    fn whole_numbers_of_any_type_have_the_means_of_floats((labels, intensity) in images()) {
        let whole = intensity.mapv(|value| value as u16);
        let floats = whole.mapv(f32::from);
        prop_assert_eq!(measure(labels.view(), Some(whole.view())), measure(labels.view(), Some(floats.view())));
    }

    #[test]
    fn threads_change_nothing((labels, intensity) in images()) {
        same_at_any_thread_count(|| measure(labels.view(), Some(intensity.view()))).unwrap();
    }
}

#[test]
fn means_are_absent_without_an_image() {
    let measured = measure(
        Array2::from_elem((600, 3), 9).view(),
        None::<ArrayView2<'_, f32>>,
    )
    .unwrap();
    assert_eq!(
        measured,
        [Measurement {
            label: 9,
            area: 1800,
            bounding_box: [0, 0, 600, 3],
            centroid: [299.5, 1.0],
            mean_intensity: None,
        }]
    );
}

#[test]
fn an_image_of_another_shape_is_refused_by_name() {
    let labels = Array2::zeros((2, 3));
    let error = measure(labels.view(), Some(Array2::<f32>::zeros((3, 2)).view())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "intensity: expected the shape of the labels, (2, 3), got (3, 2)"
    );
}
