//! Label images at another scale, with smooth outlines.
//!
//! Each nucleus has a level at every pixel of the given scale: the distance of the foreground value from the threshold,
//! positive in the nucleus and negative elsewhere. The nucleus covers the points at which its level, interpolated between the
//! four nearest pixels, is positive. The levels of two nuclei never add up to more than 0, so no point belongs to two of
//! them, and a nucleus depends on no other nucleus.

use ndarray::parallel::prelude::*;
use ndarray::{ArrayView2, ArrayViewMut2, Axis};

use crate::error::{Error, check_shape};
use crate::interrupt;

/// A point along one axis, between two pixels that may be the same one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The pixel before the point.
    pub before: usize,
    /// The pixel after the point.
    pub after: usize,
    /// How far the point is from `before` to `after`, 0 to 1.
    pub share: f64,
}

/// Write the labels at the points of a grid.
///
/// `foreground` has the foreground probability of each pixel of `labels`, times 255. `threshold` is the least probability of a
/// pixel of a nucleus, 0 to 1.
///
/// # Errors
///
/// If the shapes differ or a point lies outside of the image.
pub fn resample_labels(
    labels: ArrayView2<'_, u32>,
    foreground: ArrayView2<'_, u8>,
    threshold: f64,
    rows: &[Point],
    columns: &[Point],
    mut resampled: ArrayViewMut2<'_, u32>,
) -> Result<(), Error> {
    check_shape(
        "foreground",
        "the shape of labels,",
        labels.dim(),
        foreground.dim(),
    )?;
    let level = 255.0 * threshold;
    check_points(rows, labels.nrows())?;
    check_points(columns, labels.ncols())?;
    resampled
        .axis_iter_mut(Axis(0))
        .into_par_iter()
        .zip(rows)
        .for_each(|(mut line, row)| {
            interrupt::check();
            for (place, column) in line.iter_mut().zip(columns) {
                let corners = [
                    [row.before, column.before],
                    [row.before, column.after],
                    [row.after, column.before],
                    [row.after, column.after],
                ];
                let found = corners.map(|corner| labels[corner]);
                *place = if found == [found[0]; 4] {
                    found[0]
                } else {
                    let distances = corners.map(|corner| distance(foreground[corner], level));
                    label_at(found, distances, weights(row.share, column.share))
                };
            }
        });
    Ok(())
}

fn check_points(points: &[Point], size: usize) -> Result<(), Error> {
    let last = points
        .iter()
        .map(|point| point.before.max(point.after))
        .max();
    match last {
        Some(pixel) if pixel >= size => Err(Error::Data(format!(
            "points: expected pixels below {size}, got {pixel}"
        ))),
        _ => Ok(()),
    }
}

/// The distance of a foreground value from the level of the threshold: at least half a step, so that it has a sign.
fn distance(foreground: u8, level: f64) -> f64 {
    (f64::from(foreground) - level).abs().max(0.5)
}

fn weights(down: f64, across: f64) -> [f64; 4] {
    [
        (1.0 - down) * (1.0 - across),
        (1.0 - down) * across,
        down * (1.0 - across),
        down * across,
    ]
}

/// The label whose level is positive, or 0 if there is none.
fn label_at(labels: [u32; 4], distances: [f64; 4], weights: [f64; 4]) -> u32 {
    for label in labels.into_iter().filter(|&label| label != 0) {
        let mut level = 0.0;
        for ((other, distance), weight) in labels.into_iter().zip(distances).zip(weights) {
            level += weight * if other == label { distance } else { -distance };
        }
        if level > 0.0 {
            return label;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    use super::*;

    /// The points of an axis that is enlarged, as an image is: pixel `i` lies at `(i + 0.5) / times - 0.5`.
    fn points(size: usize, times: usize) -> Vec<Point> {
        (0..size * times)
            .map(|pixel| {
                let place = (pixel as f64 + 0.5) / times as f64 - 0.5;
                let before = place.floor();
                let clip = |index: f64| (index.max(0.0) as usize).min(size - 1);
                Point {
                    before: clip(before),
                    after: clip(before + 1.0),
                    share: place - before,
                }
            })
            .collect()
    }

    fn enlarged(labels: &Array2<u32>, foreground: &Array2<u8>, times: usize) -> Array2<u32> {
        let (rows, columns) = (points(labels.nrows(), times), points(labels.ncols(), times));
        let mut large = Array2::zeros((rows.len(), columns.len()));
        let views = (labels.view(), foreground.view());
        resample_labels(views.0, views.1, 0.5, &rows, &columns, large.view_mut()).unwrap();
        large
    }

    #[test]
    fn an_edge_lies_where_the_foreground_crosses_the_threshold() {
        // The foreground falls from 168 to 88: it crosses 127.5 at 0.506 of the way from the first to the second pixel.
        let large = enlarged(&array![[1, 0]], &array![[168, 88]], 10);
        assert_eq!(large.row(0).sum(), 10);
        // It falls from 255 to 120: it crosses at 0.944 of the way.
        let large = enlarged(&array![[1, 0]], &array![[255, 120]], 10);
        assert_eq!(large.row(0).sum(), 14);
    }

    #[test]
    fn nuclei_that_touch_are_cut_between_their_pixels() {
        let large = enlarged(&array![[1, 2]], &array![[255, 255]], 4);
        assert_eq!(large.row(0).to_vec(), [1, 1, 1, 1, 2, 2, 2, 2]);
    }

    #[test]
    fn a_point_outside_of_the_image_is_an_error() {
        let (labels, foreground) = (Array2::zeros((1, 1)), Array2::zeros((1, 1)));
        let point = Point {
            before: 0,
            after: 1,
            share: 0.0,
        };
        let mut large = Array2::zeros((1, 1));
        let outcome = resample_labels(
            labels.view(),
            foreground.view(),
            0.5,
            &[point],
            &[point],
            large.view_mut(),
        );
        let message = "points: expected pixels below 1, got 1";
        assert_eq!(outcome, Err(Error::Data(message.into())));
    }

    proptest! {
        #[test]
        fn each_nucleus_depends_on_no_other_nucleus(
            values in proptest::collection::vec((0_u32..4, 0_u8..=255), 48),
            times in 1_usize..5,
        ) {
            let labels = Array2::from_shape_fn((6, 8), |(row, column)| values[8 * row + column].0);
            let foreground = Array2::from_shape_fn((6, 8), |(row, column)| values[8 * row + column].1);
            let large = enlarged(&labels, &foreground, times);
            for label in 1..4 {
                let alone = labels.mapv(|other| if other == label { label } else { 0 });
                let expected = large.mapv(|other| if other == label { label } else { 0 });
                prop_assert_eq!(enlarged(&alone, &foreground, times), expected);
            }
        }
    }
}
