//! The brightness of the background around every nucleus: the median of the unlabelled pixels in a rectangle.

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::Error;
use crate::interrupt;
use crate::shape::measure::check_intensity;

/// Return, for each rectangle (first row and column, row and column after the last ones), the median of the pixels without a
/// label; not-a-number if there are none. Parts of rectangles outside of the image do not count.
///
/// # Errors
/// If the intensity image has another shape than the label image.
pub fn backgrounds(
    labels: ArrayView2<'_, u32>,
    intensity: ArrayView2<'_, f32>,
    rectangles: &[[i64; 4]],
) -> Result<Vec<f64>, Error> {
    check_intensity(labels, intensity)?;
    let (height, width) = labels.dim();
    let clip = |place: i64, side: usize| usize::try_from(place).unwrap_or(0).min(side);
    Ok(rectangles
        .par_iter()
        .map_init(Vec::new, |values, &[top, left, bottom, right]| {
            interrupt::check();
            let (rows, columns) = (
                clip(top, height)..clip(bottom, height),
                clip(left, width)..clip(right, width),
            );
            values.clear();
            for row in rows {
                for column in columns.clone() {
                    if labels[[row, column]] == 0 {
                        values.push(intensity[[row, column]]);
                    }
                }
            }
            median(values)
        })
        .collect())
}

/// The median, of an even number of values the mean of the two in the middle.
fn median(values: &mut [f32]) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let middle = values.len() / 2;
    let is_odd = values.len() % 2 == 1;
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f32::total_cmp);
    let upper = f64::from(upper);
    if is_odd {
        return upper;
    }
    let lower = below.iter().copied().max_by(f32::total_cmp);
    f64::midpoint(lower.map_or(upper, f64::from), upper)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn labelled_pixels_and_pixels_outside_of_the_image_do_not_count() {
        let labels = array![[0, 1, 0], [0, 1, 0]];
        let image = array![[1.0, 90.0, 5.0], [2.0, 90.0, 7.0]];
        let rectangles = [[-5, -5, 9, 9], [0, 0, 1, 3], [0, 1, 2, 2], [0, 2, 2, 3]];
        let found = backgrounds(labels.view(), image.view(), &rectangles).unwrap();
        assert_eq!((found[0], found[1], found[3]), (3.5, 3.0, 6.0));
        assert!(found[2].is_nan());
    }
}
