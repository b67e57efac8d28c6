//! Laws of the kernels that smooth labels, simplify rings and blend tiles.

mod common;

use common::{label_images, same_at_any_thread_count};
use ndarray::{Array2, Array3, Array4};
use nucleus_kernels::Error;
use nucleus_kernels::blend::blend_tiles;
use nucleus_kernels::labels::smooth::{MAX_RADIUS, smooth_labels};
use nucleus_kernels::shape::contour::{Vertex, contours};
use nucleus_kernels::shape::simplify::simplify_ring;
use proptest::prelude::*;

fn smoothed(labels: &Array2<u32>, radius: usize) -> Array2<u32> {
    let mut smoothed = Array2::from_elem(labels.dim(), 9);
    smooth_labels(labels.view(), smoothed.view_mut(), radius).unwrap();
    smoothed
}

proptest! {
    #[test]
    fn no_vote_changes_nothing(labels in label_images()) {
        prop_assert_eq!(smoothed(&labels, 0), labels);
    }

    #[test]
    fn a_pixel_gets_a_label_that_is_near(labels in label_images(), radius in 0_usize..4) {
        let smoothed = same_at_any_thread_count(|| smoothed(&labels, radius));
        for ((row, column), &label) in smoothed.indexed_iter() {
            let near = labels.indexed_iter().any(|((y, x), &other)| {
                other == label && y.abs_diff(row) <= radius && x.abs_diff(column) <= radius
            });
            prop_assert!(near);
        }
    }

    #[test]
    fn a_simplified_ring_is_closed_and_keeps_vertices_in_their_order(
        labels in label_images(), tolerance in 0.0..4.0,
    ) {
        for outline in contours(labels.view()).unwrap() {
            for polygon in outline.polygons {
                for ring in std::iter::once(polygon.exterior).chain(polygon.holes) {
                    let simplified = simplify_ring(&ring, tolerance).unwrap();
                    prop_assert_eq!(simplified.first(), simplified.last());
                    prop_assert!(simplified.len() >= 4);
                    let mut rest = ring.iter();
                    prop_assert!(simplified.iter().all(|vertex| rest.any(|other| other == vertex)));
                    prop_assert_eq!(simplify_ring(&ring, 0.0).unwrap(), ring);
                }
            }
        }
    }

    #[test]
    fn tiles_of_one_value_blend_to_it(
        value in -9_i16..9, corners in prop::collection::vec([-5_i64..40, -5_i64..40], 0..6),
    ) {
        let value = f32::from(value);
        let tiles = Array4::from_elem((corners.len(), 4, 3, 2), value);
        let weights = Array2::from_shape_fn((4, 3), |(row, column)| (1 + row + column) as f32);
        let blended = same_at_any_thread_count(|| {
            let mut canvas = Array3::zeros((36, 38, 2));
            blend_tiles(tiles.view(), &corners, weights.view(), canvas.view_mut()).unwrap();
            canvas.mapv(f32::to_bits)
        });
        for ((row, column, _), &bits) in blended.indexed_iter() {
            let covered = corners.iter().any(|corner| {
                (corner[0]..corner[0] + 4).contains(&(row as i64))
                    && (corner[1]..corner[1] + 3).contains(&(column as i64))
            });
            let blended = f32::from_bits(bits);
            prop_assert_eq!(blended.is_nan(), !covered);
            prop_assert!(blended.is_nan() || blended == value);
        }
    }
}

#[test]
fn a_window_beyond_the_largest_is_refused() {
    let labels = Array2::zeros((2, 2));
    let mut smoothed = labels.clone();
    let outcome = smooth_labels(labels.view(), smoothed.view_mut(), MAX_RADIUS + 1);
    let message = "radius: expected 0 to 64 pixels, got 65";
    assert_eq!(outcome, Err(Error::Setting(message.into())));
}

#[test]
fn a_ring_that_crosses_itself_is_refused() {
    let bow_tie: [Vertex; 5] = [[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]];
    let error = simplify_ring(&bow_tie, 0.0).unwrap_err();
    assert!(error.to_string().contains("expected no edge to cross"));
}

#[test]
fn weights_of_another_shape_are_refused() {
    let tiles = Array4::zeros((1, 2, 2, 1));
    let weights = Array2::ones((1, 2));
    let mut canvas = Array3::zeros((2, 2, 1));
    assert_eq!(
        blend_tiles(tiles.view(), &[[0, 0]], weights.view(), canvas.view_mut()),
        Err(Error::Data(
            "weights: expected the shape of a tile (2, 2), got (1, 2)".into()
        ))
    );
}
