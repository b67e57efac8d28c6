//! Laws of outlines: rasterising them gives the label image back, and every ring is simple.

mod common;

use std::collections::{BTreeMap, HashSet};

use common::label_images;
use ndarray::Array2;
use nucleus_kernels::geometry::wkb::{encode, geometry};
use nucleus_kernels::shape::contour::{Outline, Polygon, Ring, contours};
use proptest::prelude::*;

fn traced(labels: &Array2<u32>) -> Vec<Outline> {
    contours(labels.view()).unwrap()
}

/// Twice the signed area by the shoelace formula.
fn doubled_area(ring: &Ring) -> i64 {
    ring.windows(2)
        .map(|edge| {
            let [[x0, y0], [x1, y1]] = [edge[0], edge[1]].map(|corner| corner.map(i64::from));
            x0 * y1 - x1 * y0
        })
        .sum()
}

/// Every corner of a pixel on a closed ring, once for each pass.
fn corners(ring: &Ring) -> Vec<[i32; 2]> {
    ring.windows(2)
        .flat_map(|edge| {
            let [[x0, y0], [x1, y1]] = [edge[0], edge[1]];
            let steps = (x1 - x0).abs() + (y1 - y0).abs();
            (0..steps).map(move |step| {
                [
                    x0 + (x1 - x0).signum() * step,
                    y0 + (y1 - y0).signum() * step,
                ]
            })
        })
        .collect()
}

/// Pixels inside rings by the even-odd rule: a vertical edge toggles all pixels of its rows to its right.
fn rasterised(polygon: &Polygon, shape: (usize, usize)) -> Array2<bool> {
    let mut inside = Array2::from_elem(shape, false);
    for ring in std::iter::once(&polygon.exterior).chain(&polygon.holes) {
        for edge in ring.windows(2) {
            let [[x0, y0], [x1, y1]] =
                [edge[0], edge[1]].map(|corner| corner.map(|at| at as usize));
            for row in y0.min(y1)..y0.max(y1) {
                assert_eq!(x0, x1, "an edge is neither across nor along");
                (x0..shape.1).for_each(|column| inside[[row, column]] ^= true);
            }
        }
    }
    inside
}

/// The number of 4-connected pieces of each label, by merging neighbours until nothing changes.
fn pieces(labels: &Array2<u32>) -> BTreeMap<u32, usize> {
    let (rows, columns) = labels.dim();
    let mut names = Array2::from_shape_fn((rows, columns), |(row, column)| row * columns + column);
    let mut changed = true;
    while changed {
        changed = false;
        for row in 0..rows {
            for column in 0..columns {
                for (r, c) in [(row + 1, column), (row, column + 1)] {
                    if labels.get([r, c]) == Some(&labels[[row, column]])
                        && names[[r, c]] != names[[row, column]]
                    {
                        let name = names[[r, c]].min(names[[row, column]]);
                        names[[r, c]] = name;
                        names[[row, column]] = name;
                        changed = true;
                    }
                }
            }
        }
    }
    let mut counts = BTreeMap::new();
    for ((row, column), &label) in labels.indexed_iter() {
        if label != 0 && names[[row, column]] == row * columns + column {
            *counts.entry(label).or_default() += 1;
        }
    }
    counts
}

/// Well-known binary, converted to text, equals the printed rings.
fn check_text(outline: &Outline) {
    let rings =
        |polygon: &Polygon| [std::slice::from_ref(&polygon.exterior), &polygon.holes].concat();
    let pieces: Vec<Vec<Ring>> = outline.polygons.iter().map(rings).collect();
    let printed = match &pieces[..] {
        [piece] => format!("{piece:?}"),
        pieces => format!("{pieces:?}"),
    };
    let written = geometry(&encode(&outline.polygons, [0, 0]))
        .unwrap()
        .coordinates;
    assert_eq!(written, printed.replace(' ', ""));
}

fn check_laws(labels: &Array2<u32>) {
    let outlines = traced(labels);
    let mut painted = Array2::<u32>::zeros(labels.dim());
    for outline in &outlines {
        for polygon in &outline.polygons {
            assert!(doubled_area(&polygon.exterior) > 0);
            for ring in std::iter::once(&polygon.exterior).chain(&polygon.holes) {
                check_ring(ring);
            }
            assert!(polygon.holes.iter().all(|hole| doubled_area(hole) < 0));
            for (pixel, inside) in rasterised(polygon, labels.dim()).indexed_iter() {
                if *inside {
                    assert_eq!(painted[pixel], 0, "two polygons cover a pixel");
                    painted[pixel] = outline.label;
                }
            }
        }
    }
    assert_eq!(&painted, labels);
    outlines.iter().for_each(check_text);
    let counts: Vec<(u32, usize)> = pieces(labels).into_iter().collect();
    let found: Vec<(u32, usize)> = outlines
        .iter()
        .map(|outline| (outline.label, outline.polygons.len()))
        .collect();
    assert_eq!(found, counts);
}

fn check_ring(ring: &Ring) {
    assert_eq!(ring.first(), ring.last());
    let passed = corners(ring);
    let distinct: HashSet<&[i32; 2]> = passed.iter().collect();
    assert_eq!(
        distinct.len(),
        passed.len(),
        "a ring touches itself: {ring:?}"
    );
    for turn in ring.windows(3).map(|three| [three[0], three[1], three[2]]) {
        assert_turns(turn);
    }
    assert_turns([ring[ring.len() - 2], ring[0], ring[1]]);
}

fn assert_turns([before, at, after]: [[i32; 2]; 3]) {
    let along = |axis: usize| before[axis] == at[axis] && at[axis] == after[axis];
    assert!(!along(0) && !along(1), "no turn at {at:?}");
}

fn image(rows: &[&str]) -> Array2<u32> {
    let pixels = rows
        .iter()
        .flat_map(|row| row.bytes().map(|byte| u32::from(byte != b'.')));
    Array2::from_shape_vec((rows.len(), rows[0].len()), pixels.collect()).unwrap()
}

fn square_images() -> impl Strategy<Value = Array2<u32>> {
    (1_usize..14, 1_usize..14, 1_u32..4).prop_flat_map(|(rows, columns, most)| {
        proptest::collection::vec(0..=most, rows * columns)
            .prop_map(move |pixels| Array2::from_shape_vec((rows, columns), pixels).unwrap())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn rasterising_small_outlines_gives_the_labels_back(labels in square_images()) {
        check_laws(&labels);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn rasterising_wide_outlines_gives_the_labels_back(labels in label_images()) {
        check_laws(&labels);
    }
}

#[test]
fn a_single_pixel_is_a_unit_square() {
    let outlines = traced(&image(&["..", ".#"]));
    let square = vec![[2, 1], [2, 2], [1, 2], [1, 1], [2, 1]];
    assert_eq!(
        outlines[0].polygons,
        [Polygon {
            exterior: square,
            holes: vec![]
        }]
    );
}

#[test]
fn one_label_everywhere_is_a_rectangle() {
    let outlines = traced(&Array2::from_elem((300, 200), 7));
    assert_eq!((outlines.len(), outlines[0].label), (1, 7));
    assert_eq!(
        doubled_area(&outlines[0].polygons[0].exterior),
        2 * 300 * 200
    );
    assert_eq!(outlines[0].polygons[0].exterior.len(), 5);
}

#[test]
fn a_hole_that_touches_the_outside_at_a_corner_is_a_hole() {
    let labels = image(&["###", "#.#", "##."]);
    check_laws(&labels);
    assert_eq!(traced(&labels)[0].polygons[0].holes.len(), 1);
}

#[test]
fn holes_that_touch_at_a_corner_are_two() {
    let labels = image(&["####", "#.##", "##.#", "####"]);
    check_laws(&labels);
    assert_eq!(traced(&labels)[0].polygons[0].holes.len(), 2);
}

#[test]
fn a_checkerboard_is_all_single_pixels() {
    let labels =
        Array2::from_shape_fn((40, 41), |(row, column)| u32::from((row + column) % 2 == 0));
    check_laws(&labels);
    assert_eq!(traced(&labels)[0].polygons.len(), 820);
}

#[test]
fn nested_rings_keep_apart() {
    for count in [1, 2, 40] {
        let labels = Array2::from_shape_fn((41, 41), |(row, column)| {
            let depth = row.min(column).min(40 - row).min(40 - column) as u32;
            if depth.is_multiple_of(2) {
                depth / 2 % count + 1
            } else {
                0
            }
        });
        check_laws(&labels);
    }
}

#[test]
fn a_spiral_is_one_polygon_without_holes() {
    let side = 41;
    let mut labels = Array2::<u32>::zeros((side, side));
    let (mut at, mut step) = ([0_isize, 0], [0_isize, 1]);
    let free = |labels: &Array2<u32>, [row, column]: [isize; 2]| {
        labels
            .get([row as usize, column as usize])
            .is_none_or(|&label| label == 0)
    };
    let inside =
        |[row, column]: [isize; 2]| row.min(column) >= 0 && row.max(column) < side as isize;
    loop {
        labels[[at[0] as usize, at[1] as usize]] = 1;
        let ahead = |step: [isize; 2], by: isize| [at[0] + by * step[0], at[1] + by * step[1]];
        let open = |step| {
            inside(ahead(step, 1)) && free(&labels, ahead(step, 1)) && free(&labels, ahead(step, 2))
        };
        let turned = [step[1], -step[0]];
        if !open(step) {
            step = turned;
        }
        if !open(step) {
            break;
        }
        at = [at[0] + step[0], at[1] + step[1]];
    }
    check_laws(&labels);
    let outlines = traced(&labels);
    assert_eq!(
        (
            outlines[0].polygons.len(),
            outlines[0].polygons[0].holes.len()
        ),
        (1, 0)
    );
    assert!(outlines[0].polygons[0].exterior.len() > 70);
}

#[test]
fn images_without_pixels_have_no_outlines() {
    for shape in [(0, 0), (0, 5), (5, 0)] {
        assert_eq!(traced(&Array2::zeros(shape)), []);
    }
}

#[test]
fn images_too_large_for_the_coordinates_are_refused() {
    let pixel = ndarray::arr0(0_u32);
    let wide = pixel.broadcast((1, 1 << 31)).unwrap();
    let message = contours(wide).unwrap_err().to_string();
    assert!(message.ends_with("got 1 x 2147483648"), "{message}");
}
