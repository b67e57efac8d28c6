//! Images at another scale: weighted means of pixels along both axes.

use ndarray::parallel::prelude::*;
use ndarray::{ArrayView2, ArrayView3, ArrayViewMut3, Axis};

use crate::error::{Error, check_shape};
use crate::interrupt;

/// The points along one axis at which an image is sampled.
#[derive(Debug, Clone, Copy)]
pub struct Taps<'a> {
    /// The pixels whose mean a point is: `(taps, points)`.
    pub pixels: ArrayView2<'a, i64>,
    /// Their weights, of the same shape.
    pub weights: ArrayView2<'a, f32>,
}

/// Write the weighted means of the pixels `(H, W, channels)` at the points of a grid.
///
/// The means of rows are computed before those of columns, and each one is added up in the order of the taps.
///
/// # Errors
///
/// If shapes do not agree, or a tap lies outside of the image.
pub fn resample(
    pixels: ArrayView3<'_, f32>,
    rows: Taps<'_>,
    columns: Taps<'_>,
    mut resampled: ArrayViewMut3<'_, f32>,
) -> Result<(), Error> {
    let (height, width, channels) = pixels.dim();
    check_taps("rows", rows, height)?;
    check_taps("columns", columns, width)?;
    let shape = (rows.pixels.ncols(), columns.pixels.ncols(), channels);
    check_shape("resampled", "shape", shape, resampled.dim())?;
    resampled
        .axis_iter_mut(Axis(0))
        .into_par_iter()
        .enumerate()
        .for_each_init(
            || vec![0.0; width * channels],
            |means, (point, mut line)| {
                interrupt::check();
                means.fill(0.0);
                for (&row, &weight) in rows
                    .pixels
                    .column(point)
                    .iter()
                    .zip(rows.weights.column(point))
                {
                    let values = pixels.index_axis(Axis(0), row as usize);
                    for (mean, &value) in means.iter_mut().zip(values) {
                        *mean += weight * value;
                    }
                }
                line.fill(0.0);
                for (taps, weights) in columns
                    .pixels
                    .rows()
                    .into_iter()
                    .zip(columns.weights.rows())
                {
                    for ((mut mean, &column), &weight) in
                        line.rows_mut().into_iter().zip(taps).zip(weights)
                    {
                        let values = &means[column as usize * channels..][..channels];
                        for (mean, &value) in mean.iter_mut().zip(values) {
                            *mean += weight * value;
                        }
                    }
                }
            },
        );
    Ok(())
}

fn check_taps(name: &str, taps: Taps<'_>, size: usize) -> Result<(), Error> {
    check_shape(
        name,
        "weights of shape",
        taps.pixels.dim(),
        taps.weights.dim(),
    )?;
    let outside =
        |&&pixel: &&i64| usize::try_from(pixel).is_ok_and(|pixel| pixel >= size) || pixel < 0;
    match taps.pixels.iter().find(outside) {
        Some(pixel) => Err(Error::Data(format!(
            "{name}: expected pixels from 0 to {}, got {pixel}",
            size.saturating_sub(1)
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Array3, array};
    use proptest::prelude::*;

    use super::*;

    fn resampled(
        pixels: &Array3<f32>,
        rows: (&Array2<i64>, &Array2<f32>),
        columns: (&Array2<i64>, &Array2<f32>),
    ) -> Result<Array3<f32>, Error> {
        let mut resampled = Array3::zeros((rows.0.ncols(), columns.0.ncols(), pixels.dim().2));
        let [rows, columns] = [rows, columns].map(|(pixels, weights)| Taps {
            pixels: pixels.view(),
            weights: weights.view(),
        });
        resample(pixels.view(), rows, columns, resampled.view_mut())?;
        Ok(resampled)
    }

    proptest! {
        #[test]
        fn a_tap_of_weight_one_copies_its_pixel(
            rows in prop::collection::vec(0_i64..5, 0..6),
            columns in prop::collection::vec(0_i64..7, 0..6),
            channels in 1_usize..4,
        ) {
            let pixels = Array3::from_shape_fn((5, 7, channels), |(row, column, channel)| {
                (100 * row + 10 * column + channel) as f32
            });
            let [taps_down, taps_across] = [&rows, &columns]
                .map(|taps| Array2::from_shape_vec((1, taps.len()), taps.clone()).unwrap());
            let [down, across] = [&taps_down, &taps_across].map(|taps| Array2::ones(taps.dim()));
            let found = resampled(&pixels, (&taps_down, &down), (&taps_across, &across)).unwrap();
            for ((row, column, channel), &value) in found.indexed_iter() {
                prop_assert_eq!(value, pixels[[rows[row] as usize, columns[column] as usize, channel]]);
            }
        }
    }

    #[test]
    fn a_point_is_the_weighted_mean_along_both_axes() {
        let pixels = array![[[1.0], [2.0]], [[3.0], [5.0]]];
        let (taps, weights) = (array![[0], [1]], array![[0.25], [0.75]]);
        let found = resampled(&pixels, (&taps, &weights), (&taps, &weights)).unwrap();
        // Rows: 2.5 and 4.25. Their mean: 0.625 + 3.1875.
        assert_eq!(found, array![[[3.8125]]]);
    }

    #[test]
    fn a_tap_outside_of_the_image_is_refused() {
        let pixels = Array3::zeros((2, 2, 1));
        for outside in [-1, 2, i64::MAX, i64::MIN] {
            let (inside, weights) = (array![[0]], array![[1.0]]);
            let taps = array![[outside]];
            assert!(resampled(&pixels, (&taps, &weights), (&inside, &weights)).is_err());
            assert!(resampled(&pixels, (&inside, &weights), (&taps, &weights)).is_err());
        }
    }
}
