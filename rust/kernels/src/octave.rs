//! Octaves of an image: means of 2 x 2 squares, and what the pixels have beside them.

use ndarray::parallel::prelude::*;
use ndarray::{ArrayView2, ArrayViewMut2, Axis};

use crate::error::{Error, check_shape};
use crate::interrupt;

/// Write the mean of each square of 2 x 2 pixels, and return the sum of the squared differences of all pixels from their
/// means. A last row or column without a partner is left out.
///
/// The sum does not depend on the number of threads, because the sums of rows are added up in order.
///
/// # Errors
///
/// If `means` has not half as many rows and columns as `pixels`.
pub fn halve(pixels: ArrayView2<'_, f32>, mut means: ArrayViewMut2<'_, f32>) -> Result<f64, Error> {
    let (height, width) = pixels.dim();
    check_shape("means", "shape", (height / 2, width / 2), means.dim())?;
    let sums: Vec<f64> = means
        .axis_iter_mut(Axis(0))
        .into_par_iter()
        .zip(pixels.axis_chunks_iter(Axis(0), 2).into_par_iter())
        .map(|(line, pair)| {
            interrupt::check();
            let (above, below) = (pair.row(0), pair.row(1));
            let mut sums = [0.0; 4];
            for (column, mean) in line.into_iter().enumerate() {
                let [left, right] = [2 * column, 2 * column + 1];
                let square = [above[left], below[left], above[right], below[right]];
                *mean = (square[0] + square[1] + square[2] + square[3]) / 4.0;
                for (sum, value) in sums.iter_mut().zip(square) {
                    let difference = f64::from(value - *mean);
                    *sum += difference * difference;
                }
            }
            sums.iter().sum()
        })
        .collect();
    Ok(sums.iter().sum())
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn a_square_becomes_its_mean_and_its_squared_differences_are_added_up() {
        let pixels = array![[1.0, 3.0, 9.0], [5.0, 7.0, 9.0], [9.0, 9.0, 9.0]];
        let mut means = Array2::zeros((1, 1));
        assert_eq!(halve(pixels.view(), means.view_mut()), Ok(20.0));
        assert_eq!(means, array![[4.0]]);
    }

    #[test]
    fn an_image_of_a_single_row_has_no_squares() {
        let mut means = Array2::zeros((0, 2));
        assert_eq!(
            halve(Array2::ones((1, 4)).view(), means.view_mut()),
            Ok(0.0)
        );
    }

    #[test]
    fn means_of_another_shape_are_refused() {
        assert!(
            halve(
                Array2::ones((4, 4)).view(),
                Array2::zeros((2, 1)).view_mut()
            )
            .is_err()
        );
    }
}
