//! Laws of shapes: they move and turn with the nucleus, and its hull contains it.

mod common;

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI, SQRT_2};

use common::{label_images, same_at_any_thread_count};
use ndarray::{Array2, s};
use nucleus_kernels::shape::moments::{Shape, shapes};
use proptest::prelude::*;

fn measured(labels: &Array2<u32>) -> Vec<Shape> {
    shapes(labels.view(), None).unwrap()
}

fn close(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * one.abs().max(other.abs()).max(1.0)
}

/// The properties that stay when an image is turned or mirrored.
fn unturned(shape: &Shape) -> [f64; 5] {
    let [longest, shortest] = shape.axis_lengths;
    [
        longest,
        shortest,
        shape.eccentricity,
        shape.perimeter,
        shape.convex_area,
    ]
}

proptest! {
    #[test]
    fn where_a_nucleus_lies_changes_no_bit(labels in label_images(), down in 0..40_usize, right in 0..90_usize) {
        let (rows, columns) = labels.dim();
        let mut moved = Array2::zeros((rows + down + 3, columns + right + 2));
        moved.slice_mut(s![down..down + rows, right..right + columns]).assign(&labels);
        prop_assert_eq!(measured(&labels), measured(&moved));
    }

    #[test]
    fn a_mirrored_image_has_the_same_shapes_at_other_angles(labels in label_images()) {
        let turned = labels.t().as_standard_layout().into_owned();
        for (one, other) in measured(&labels).iter().zip(&measured(&turned)) {
            prop_assert!(unturned(one).iter().zip(unturned(other)).all(|(one, other)| close(*one, other)));
            if one.eccentricity > 1e-3 {
                // Rows become columns, so the angle from the one axis becomes the angle from the other.
                let sum = (one.orientation + other.orientation).rem_euclid(PI);
                prop_assert!(close(sum, FRAC_PI_2), "{} and {}", one.orientation, other.orientation);
            }
        }
    }

    #[test]
    fn the_hull_holds_the_nucleus_and_is_held_by_its_box(labels in label_images()) {
        for shape in measured(&labels) {
            let pixels = labels.indexed_iter().filter(|(_, label)| **label == shape.label);
            let places: Vec<(usize, usize)> = pixels.map(|(place, _)| place).collect();
            let side = |of: fn(&(usize, usize)) -> usize| {
                places.iter().map(of).max().unwrap() - places.iter().map(of).min().unwrap() + 1
            };
            prop_assert_eq!(shape.area as usize, places.len());
            prop_assert!(shape.convex_area >= shape.area as f64);
            prop_assert!(shape.convex_area <= (side(|place| place.0) * side(|place| place.1)) as f64);
        }
    }

    #[test]
    fn the_number_of_threads_changes_nothing(labels in label_images()) {
        same_at_any_thread_count(|| measured(&labels));
    }
}

#[test]
fn a_rectangle_has_the_moments_perimeter_and_hull_of_the_book() {
    let mut labels = Array2::zeros((40, 50));
    labels.slice_mut(s![3..9, 10..30]).fill(7);
    let [shape] = measured(&labels)[..] else {
        panic!("one nucleus")
    };
    let axis = |side: f64| 4.0 * ((side * side - 1.0) / 12.0).sqrt();
    assert!(close(shape.axis_lengths[0], axis(20.0)) && close(shape.axis_lengths[1], axis(6.0)));
    assert!(close(shape.orientation.abs(), FRAC_PI_2));
    assert_eq!(
        (shape.area, shape.convex_area, shape.perimeter),
        (120, 120.0, 48.0)
    );
}

#[test]
fn a_diagonal_line_is_as_long_as_its_steps_and_its_hull_is_a_hexagon() {
    let labels = Array2::from_shape_fn((9, 9), |(row, column)| u32::from(row == column));
    let [shape] = measured(&labels)[..] else {
        panic!("one nucleus")
    };
    assert!(close(shape.orientation, FRAC_PI_4) && close(shape.eccentricity, 1.0));
    // Each end has one neighbour, which adds no length.
    assert!(close(shape.perimeter, 7.0 * SQRT_2));
    assert_eq!(shape.convex_area, 17.0);
}

#[test]
fn an_intensity_of_another_shape_is_refused() {
    let intensity = Array2::<f32>::zeros((2, 3));
    let error = shapes(Array2::zeros((2, 2)).view(), Some(intensity.view())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "intensity: expected the shape of the labels, (2, 2), got (2, 3)"
    );
}
