//! The pixels of every nucleus of a label image as runs, and label images from runs.

use ndarray::{ArrayView2, ArrayViewMut2};
use rayon::prelude::*;

use crate::error::{Error, check_shape};
use crate::interrupt;
use crate::labels::by_label::ByLabel;
use crate::runs::{Run, find_runs, in_contiguous_rows, row_of};

/// The number of rows that one thread takes at a time.
const STRIP: usize = 64;

/// The runs of all nuclei, nucleus by nucleus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelRuns {
    /// The labels, ascending.
    pub labels: Vec<u32>,
    /// The runs of nucleus `i` are those from `first[i]` to `first[i + 1]`.
    pub first: Vec<usize>,
    /// Row, first column and the column after the last. The runs of a nucleus are in raster order.
    pub runs: Vec<[i32; 3]>,
}

/// Return the runs of every label present; 0 is background.
///
/// # Errors
/// If the image has 2^31 rows or columns or more.
pub fn label_runs(labels: ArrayView2<'_, u32>) -> Result<LabelRuns, Error> {
    let shape = labels.dim();
    if i32::try_from(shape.0.max(shape.1)).is_err() {
        return Err(Error::Data(format!(
            "labels: expected fewer than 2^31 rows and columns, got {shape:?}"
        )));
    }
    let labels = in_contiguous_rows(labels);
    // An image without columns may have more rows than memory has room for.
    let rows = if labels.is_empty() { 0 } else { shape.0 };
    let strips: Vec<Vec<(usize, Run<u32>)>> = (0..rows.div_ceil(STRIP))
        .into_par_iter()
        .map(|strip| {
            let (mut runs, mut of_row) = (Vec::new(), Vec::new());
            for row in strip * STRIP..rows.min((strip + 1) * STRIP) {
                interrupt::check();
                of_row.clear();
                find_runs(row_of(labels.view(), row), &mut of_row);
                runs.extend(of_row.iter().map(|&run| (row, run)));
            }
            runs
        })
        .collect();
    let mut counts = ByLabel::<usize>::new(labels.len());
    let mut present = Vec::new();
    for strip in &strips {
        interrupt::check();
        for (_, run) in strip {
            let count = counts.slot(run.value);
            if *count == 0 {
                present.push(run.value);
            }
            *count += 1;
        }
    }
    present.sort_unstable();
    let mut first = vec![0];
    // From here on, the place of the next run of each label.
    let mut places = counts;
    for &label in &present {
        let start = first[first.len() - 1];
        let place = places.slot(label);
        first.push(start + *place);
        *place = start;
    }
    let mut runs = vec![[0; 3]; first[present.len()]];
    for strip in &strips {
        interrupt::check();
        for (row, run) in strip {
            let place = places.slot(run.value);
            runs[*place] = [*row as i32, run.start as i32, run.end as i32];
            *place += 1;
        }
    }
    Ok(LabelRuns {
        labels: present,
        first,
        runs,
    })
}

/// Draw runs (row, first column, column after the last) with their labels on an image; later runs cover earlier ones.
///
/// The first pixel of the image is at `corner`. What lies outside of the image is not drawn.
///
/// # Errors
/// If there are not as many labels as runs.
pub fn draw_runs(
    runs: &[[i64; 3]],
    labels: &[u32],
    corner: [i64; 2],
    mut image: ArrayViewMut2<'_, u32>,
) -> Result<(), Error> {
    check_shape("labels", "one for each run,", runs.len(), labels.len())?;
    let (height, width) = image.dim();
    let inside = |place: i64, corner: i64, size: usize| {
        usize::try_from(place.saturating_sub(corner)).map_or(0, |place| place.min(size))
    };
    for (&[row, start, end], &label) in runs.iter().zip(labels) {
        interrupt::check();
        let Ok(row) = usize::try_from(row.saturating_sub(corner[0])) else {
            continue;
        };
        let (start, end) = (
            inside(start, corner[1], width),
            inside(end, corner[1], width),
        );
        if row < height && start < end {
            let mut pixels = image.row_mut(row);
            let pixels = pixels.as_slice_mut().expect("a row lies in one piece");
            pixels[start..end].fill(label);
        }
    }
    Ok(())
}
