//! Laws of connected components.

mod common;

use common::{label_images, same_at_any_thread_count};
use ndarray::{Array2, Axis, concatenate, s};
use nucleus_kernels::Error;
use nucleus_kernels::labels::components::{Connectivity, label};
use proptest::prelude::*;

/// Images high enough for several strips. Some have few values, so that components wind through them.
fn images() -> impl Strategy<Value = Array2<u32>> {
    (label_images(), 1_usize..15, any::<bool>()).prop_map(|(image, copies, binary)| {
        let image = image.mapv(|value| if binary { value.min(1) } else { value });
        let mut flipped = image.clone();
        flipped.invert_axis(Axis(1));
        let copies: Vec<_> = (0..copies)
            .map(|copy| {
                if copy % 3 == 1 {
                    flipped.view()
                } else {
                    image.view()
                }
            })
            .collect();
        concatenate(Axis(0), &copies).unwrap()
    })
}

fn connectivities() -> impl Strategy<Value = Connectivity> {
    prop_oneof![Just(Connectivity::Four), Just(Connectivity::Eight)]
}

fn labelled<T: Copy + PartialEq + Default + Send + Sync>(
    image: &Array2<T>,
    connectivity: Connectivity,
) -> (Array2<u32>, u32) {
    let mut labels = Array2::zeros(image.dim());
    let count = label(image.view(), connectivity, labels.view_mut()).unwrap();
    (labels, count)
}

/// Components by one flood fill after the other, from their first pixels.
fn flood_filled(image: &Array2<u32>, connectivity: Connectivity) -> (Array2<u32>, u32) {
    let mut labels = Array2::zeros(image.dim());
    let mut count = 0;
    for ((row, column), &value) in image.indexed_iter() {
        if value == 0 || labels[[row, column]] != 0 {
            continue;
        }
        count += 1;
        let mut stack = vec![(row as isize, column as isize)];
        while let Some((row, column)) = stack.pop() {
            let place = [row as usize, column as usize];
            if image.get(place) != Some(&value) || labels[place] != 0 {
                continue;
            }
            labels[place] = count;
            for (down, right) in (-1..=1).flat_map(|down| (-1..=1).map(move |right| (down, right)))
            {
                if connectivity == Connectivity::Eight || down == 0 || right == 0 {
                    stack.push((row + down, column + right));
                }
            }
        }
    }
    (labels, count)
}

proptest! {
    #[test]
    fn components_are_those_of_a_flood_fill_in_raster_order(image in images(), connectivity in connectivities()) {
        prop_assert_eq!(labelled(&image, connectivity), flood_filled(&image, connectivity));
    }

    #[test]
    fn narrower_pixels_give_the_same_components(image in images(), connectivity in connectivities()) {
        let expected = labelled(&image, connectivity);
        prop_assert_eq!(labelled(&image.mapv(|value| value as u8), connectivity), expected.clone());
        prop_assert_eq!(labelled(&image.mapv(|value| value as u16), connectivity), expected);
    }

    #[test]
    fn labelling_again_changes_nothing(image in images(), connectivity in connectivities()) {
        let (labels, count) = labelled(&image, connectivity);
        prop_assert_eq!(labelled(&labels, connectivity), (labels, count));
    }

    #[test]
    fn components_are_the_same_at_any_thread_count(image in images(), connectivity in connectivities()) {
        same_at_any_thread_count(|| labelled(&image, connectivity));
    }

    #[test]
    fn memory_order_changes_nothing(image in images(), connectivity in connectivities()) {
        let (height, width) = image.dim();
        let (expected, _) = labelled(&image.t().to_owned(), connectivity);
        let mut room = Array2::zeros((width, 2 * height));
        label(image.t(), connectivity, room.slice_mut(s![.., ..;2])).unwrap();
        prop_assert_eq!(room.slice(s![.., ..;2]), expected);
    }
}

#[test]
fn a_label_image_of_another_shape_is_refused() {
    let image = Array2::<u8>::zeros((2, 3));
    let mut labels = Array2::zeros((3, 2));
    assert_eq!(
        label(image.view(), Connectivity::Four, labels.view_mut()),
        Err(Error::Data(
            "labels: expected the image's shape (2, 3), got (3, 2)".into()
        ))
    );
}

#[test]
fn an_image_with_more_pixels_than_numbers_is_refused() {
    let pixel = Array2::<u8>::zeros((1, 1));
    let image = pixel.broadcast((1 << 16, 1 << 16)).unwrap();
    let mut none = Array2::zeros((0, 0));
    let message = "image: expected at most 2^32 - 1 pixels, got 65536 x 65536";
    assert_eq!(
        label(image, Connectivity::Four, none.view_mut()),
        Err(Error::Data(message.into()))
    );
}
