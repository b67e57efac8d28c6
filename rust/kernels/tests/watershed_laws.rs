//! Laws of the watershed. The tests in Python compare it with scikit-image.

use std::collections::BTreeSet;

use ndarray::Array2;
use nucleus_kernels::Error;
use nucleus_kernels::labels::components::Connectivity;
use nucleus_kernels::labels::watershed::{Level, watershed};
use proptest::prelude::*;

/// Levels, markers and a mask of one shape. The levels are few, so there are plateaus.
#[derive(Debug, Clone)]
struct Scene {
    image: Array2<u16>,
    markers: Array2<u32>,
    mask: Array2<bool>,
    connectivity: Connectivity,
}

fn scenes() -> impl Strategy<Value = Scene> {
    let pixel = (
        0_u16..7,
        prop_oneof![12 => Just(0), 1 => 1_u32..9, 1 => Just(u32::MAX)],
        prop::bool::weighted(0.9),
    );
    let shape = (0_usize..20, 0_usize..20);
    let connectivity = prop_oneof![Just(Connectivity::Four), Just(Connectivity::Eight)];
    (shape, connectivity).prop_flat_map(move |(shape, connectivity)| {
        let pixels = proptest::collection::vec(pixel.clone(), shape.0 * shape.1);
        pixels.prop_map(move |pixels| {
            let column = |place: usize| pixels[place];
            let place = |(row, column): (usize, usize)| row * shape.1 + column;
            Scene {
                image: Array2::from_shape_fn(shape, |at| column(place(at)).0),
                markers: Array2::from_shape_fn(shape, |at| column(place(at)).1),
                mask: Array2::from_shape_fn(shape, |at| column(place(at)).2),
                connectivity,
            }
        })
    })
}

fn flooded<L: Level>(scene: &Scene, level: impl Fn(u16) -> L) -> Array2<u32> {
    let mut labels = Array2::zeros(scene.image.dim());
    let image = scene.image.mapv(level);
    let mask = Some(scene.mask.view());
    watershed(
        image.view(),
        scene.markers.view(),
        mask,
        scene.connectivity,
        labels.view_mut(),
    )
    .unwrap();
    labels
}

/// The watershed by its definition: a queue in the order of level, age and pixel.
fn by_definition(scene: &Scene) -> Array2<u32> {
    let open = |(row, column)| scene.mask.get((row, column)) == Some(&true);
    let mut labels = scene.markers.clone();
    labels
        .indexed_iter_mut()
        .filter(|(at, _)| !open(*at))
        .for_each(|(_, label)| *label = 0);
    let markers = labels.indexed_iter().filter(|&(_, &label)| label != 0);
    let mut queue: BTreeSet<_> = markers.map(|(at, _)| (scene.image[at], 0, at)).collect();
    let steps: &[(isize, isize)] = match scene.connectivity {
        Connectivity::Four => &[(-1, 0), (0, -1), (0, 1), (1, 0)],
        Connectivity::Eight => &[
            (-1, 0),
            (0, -1),
            (0, 1),
            (1, 0),
            (-1, -1),
            (-1, 1),
            (1, -1),
            (1, 1),
        ],
    };
    let mut age = 0;
    while let Some((level, _, (row, column))) = queue.pop_first() {
        for &(down, right) in steps {
            let at = (
                row.wrapping_add_signed(down),
                column.wrapping_add_signed(right),
            );
            if open(at) && labels[at] == 0 {
                labels[at] = labels[(row, column)];
                age += 1;
                queue.insert((level.max(scene.image[at]), age, at));
            }
        }
    }
    labels
}

proptest! {
    #[test]
    fn without_markers_of_one_level_floods_are_as_the_definition_says(scene in scenes()) {
        // Levels are spread, and each marker is a little higher than the one before.
        let mut scene = scene;
        scene.image.mapv_inplace(|level| level * 1000);
        let mut lift = 0;
        for (level, &marker) in scene.image.iter_mut().zip(&scene.markers) {
            lift += u16::from(marker != 0);
            *level += if marker == 0 { 0 } else { lift };
        }
        let expected = by_definition(&scene);
        prop_assert_eq!(flooded(&scene, |level| level), expected.clone());
        prop_assert_eq!(flooded(&scene, f64::from), expected);
    }

    #[test]
    fn every_kind_of_pixel_floods_alike(scene in scenes()) {
        let expected = flooded(&scene, |level| level);
        prop_assert_eq!(&flooded(&scene, |level| level as u8), &expected);
        prop_assert_eq!(&flooded(&scene, |level| f32::from(level) - 3.0), &expected);
        prop_assert_eq!(&flooded(&scene, |level| (f64::from(level) - 3.0) * 1e-300), &expected);
    }

    #[test]
    fn markers_stay_and_nothing_leaves_the_mask(scene in scenes()) {
        let labels = flooded(&scene, |level| level);
        for (at, &label) in labels.indexed_iter() {
            if !scene.mask[at] {
                prop_assert_eq!(label, 0);
            } else if scene.markers[at] != 0 {
                prop_assert_eq!(label, scene.markers[at]);
            }
        }
    }

    #[test]
    fn the_order_of_floats_is_that_of_their_keys(a in any::<f32>(), b in any::<f32>()) {
        prop_assert_eq!(a.key() < b.key(), a < b);
        prop_assert_eq!(f64::from(a).key() < f64::from(b).key(), a < b);
    }
}

#[test]
fn zeros_of_both_signs_are_one_level() {
    assert_eq!((-0.0_f32).key(), 0.0_f32.key());
    assert_eq!((-0.0_f64).key(), 0.0_f64.key());
}

#[test]
fn not_a_number_is_refused_with_its_place_unless_outside_of_the_mask() {
    let mut image = Array2::<f32>::zeros((2, 3));
    image[[1, 2]] = f32::NAN;
    let (markers, mut labels) = (Array2::ones((2, 3)), Array2::zeros((2, 3)));
    let mut mask = Array2::from_elem((2, 3), true);
    mask[[1, 2]] = false;
    let mut flood = |mask| {
        watershed(
            image.view(),
            markers.view(),
            mask,
            Connectivity::Four,
            labels.view_mut(),
        )
    };
    let message = "image: expected numbers, got not-a-number at row 1, column 2";
    assert_eq!(flood(None), Err(Error::Data(message.into())));
    assert_eq!(flood(Some(mask.view())), Ok(()));
}

#[test]
fn arrays_of_another_shape_are_refused_by_name() {
    let image = Array2::<u8>::zeros((2, 3));
    let (markers, mut labels) = (Array2::zeros((3, 2)), Array2::zeros((2, 3)));
    let message = "markers: expected the image's shape (2, 3), got (3, 2)";
    let flooded = watershed(
        image.view(),
        markers.view(),
        None,
        Connectivity::Four,
        labels.view_mut(),
    );
    assert_eq!(flooded, Err(Error::Data(message.into())));
}
