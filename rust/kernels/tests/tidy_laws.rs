//! Laws of the kernels that make label images from label images.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{label_images, same_at_any_thread_count};
use ndarray::Array2;
use nucleus_kernels::Error;
use nucleus_kernels::labels::expand::expand_labels;
use nucleus_kernels::labels::fill::fill_holes;
use nucleus_kernels::labels::filter::{clear_border, filter_by_area};
use nucleus_kernels::labels::relabel::relabel_sequential;
use proptest::prelude::*;

fn relabelled(labels: &Array2<u32>) -> (Array2<u32>, Vec<u32>) {
    let mut renumbered = Array2::from_elem(labels.dim(), 9);
    let old_labels = relabel_sequential(
        labels.as_slice().unwrap(),
        renumbered.as_slice_mut().unwrap(),
    );
    (renumbered, old_labels)
}

fn filtered(labels: &Array2<u32>, areas: std::ops::RangeInclusive<u64>) -> Array2<u32> {
    let mut kept = Array2::from_elem(labels.dim(), 9);
    filter_by_area(
        labels.as_slice().unwrap(),
        kept.as_slice_mut().unwrap(),
        areas,
    );
    kept
}

fn cleared(labels: &Array2<u32>) -> Array2<u32> {
    let mut kept = Array2::from_elem(labels.dim(), 9);
    let pixels = labels.as_slice().unwrap();
    clear_border(pixels, labels.ncols(), kept.as_slice_mut().unwrap());
    kept
}

fn filled(labels: &Array2<u32>) -> Array2<u32> {
    let mut filled = Array2::from_elem(labels.dim(), 9);
    fill_holes(labels.view(), filled.view_mut());
    filled
}

fn expanded(labels: &Array2<u32>, distance: f64) -> Result<Array2<u32>, Error> {
    let mut expanded = Array2::from_elem(labels.dim(), 9);
    expand_labels(labels.view(), expanded.view_mut(), distance)?;
    Ok(expanded)
}

fn areas(labels: &Array2<u32>) -> BTreeMap<u32, u64> {
    let mut areas = BTreeMap::new();
    for &label in labels.iter().filter(|&&label| label != 0) {
        *areas.entry(label).or_insert(0) += 1;
    }
    areas
}

/// The pixels that no 4-connected path over pixels of other labels reaches from outside the image.
fn enclosed_by(labels: &Array2<u32>, label: u32) -> Array2<bool> {
    let (rows, columns) = labels.dim();
    let mut enclosed = Array2::from_elem((rows, columns), true);
    let mut stack: Vec<(usize, usize)> = labels
        .indexed_iter()
        .map(|(pixel, _)| pixel)
        .filter(|&(r, c)| r == 0 || c == 0 || r + 1 == rows || c + 1 == columns)
        .collect();
    while let Some((row, column)) = stack.pop() {
        if row >= rows || column >= columns || !enclosed[[row, column]] {
            continue;
        }
        if labels[[row, column]] == label {
            continue;
        }
        enclosed[[row, column]] = false;
        stack.extend([
            (row.wrapping_sub(1), column),
            (row + 1, column),
            (row, column.wrapping_sub(1)),
            (row, column + 1),
        ]);
    }
    enclosed
}

proptest! {
    #[test]
    fn relabelling_numbers_first_pixels_in_order_and_its_table_undoes_it(labels in label_images()) {
        let (renumbered, old_labels) = relabelled(&labels);
        let mut seen = 0;
        for &number in &renumbered {
            prop_assert!(number <= seen + 1);
            seen = seen.max(number);
        }
        prop_assert_eq!(old_labels.len(), seen as usize + 1);
        prop_assert_eq!(renumbered.mapv(|number| old_labels[number as usize]), labels);
    }

    #[test]
    fn filtering_keeps_exactly_the_labels_of_such_areas(labels in label_images(), least in 0_u64..300, more in 0_u64..300) {
        let limits = least..=least + more;
        let mut expected = areas(&labels);
        expected.retain(|_, area| limits.contains(area));
        let kept = filtered(&labels, limits.clone());
        prop_assert_eq!(areas(&kept), expected);
        prop_assert!(kept.iter().zip(&labels).all(|(kept, label)| *kept == 0 || kept == label));
        prop_assert_eq!(filtered(&kept, limits), kept);
    }

    #[test]
    fn clearing_leaves_nothing_at_the_border_and_all_that_is_not_there(labels in label_images()) {
        let kept = cleared(&labels);
        let (rows, columns) = labels.dim();
        let touching: BTreeSet<u32> = labels
            .indexed_iter()
            .filter(|((r, c), _)| *r == 0 || *c == 0 || r + 1 == rows || c + 1 == columns)
            .map(|(_, &label)| label)
            .collect();
        prop_assert_eq!(kept, labels.mapv(|label| if touching.contains(&label) { 0 } else { label }));
    }

    #[test]
    fn filling_gives_background_to_a_label_that_encloses_it_and_to_none_if_none_does(labels in label_images()) {
        let filled = filled(&labels);
        let enclosed: BTreeMap<u32, _> =
            areas(&labels).into_keys().map(|label| (label, enclosed_by(&labels, label))).collect();
        for (pixel, &label) in labels.indexed_iter() {
            match (label, filled[pixel]) {
                (0, 0) => prop_assert!(!enclosed.values().any(|enclosed| enclosed[pixel])),
                (0, given) => prop_assert!(enclosed[&given][pixel]),
                (label, after) => prop_assert_eq!(label, after),
            }
        }
    }

    #[test]
    fn expanding_takes_the_first_of_the_nearest_pixels_at_any_thread_count(
        labels in label_images(), distance in prop_oneof![0.0..8.0, Just(f64::INFINITY)]
    ) {
        let expanded = same_at_any_thread_count(|| expanded(&labels, distance).unwrap());
        let sites: Vec<_> = labels.indexed_iter().filter(|(_, label)| **label != 0).collect();
        for ((row, column), &found) in expanded.indexed_iter() {
            let square = |(r, c): (usize, usize)| r.abs_diff(row).pow(2) + c.abs_diff(column).pow(2);
            let nearest = sites.iter().min_by_key(|(site, _)| square(*site));
            let expected = nearest.filter(|(site, _)| (square(*site) as f64).sqrt() <= distance);
            prop_assert_eq!(found, expected.map_or(0, |(_, label)| **label));
        }
    }
}

#[test]
fn a_distance_that_makes_no_sense_is_refused() {
    let labels = Array2::zeros((2, 3));
    let message = "distance: expected 0 or more pixels, got -1";
    assert_eq!(expanded(&labels, -1.0), Err(Error::Setting(message.into())));
    let message = expanded(&labels, f64::NAN).unwrap_err().to_string();
    assert_eq!(message, "distance: expected 0 or more pixels, got NaN");
}

#[test]
fn memory_in_any_order_is_filled_and_expanded_alike() {
    let labels = Array2::from_shape_fn((6, 5), |(r, c)| u32::from((r + c) % 3 == 0 && r != 2) * 4);
    let mut turned = Array2::zeros((5, 6));
    fill_holes(labels.view(), turned.view_mut().reversed_axes());
    assert_eq!(turned.reversed_axes(), filled(&labels));
    let mut turned = Array2::zeros((5, 6));
    expand_labels(labels.view(), turned.view_mut().reversed_axes(), 1.0).unwrap();
    assert_eq!(turned.reversed_axes(), expanded(&labels, 1.0).unwrap());
}
