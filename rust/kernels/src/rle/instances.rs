//! The runs of all instances of a label image, from one pass over it.

use std::ops::Range;

use ndarray::parallel::prelude::*;
use ndarray::{ArrayView2, Axis};

use super::{LITTLE, Span, share};
use crate::interrupt;
use crate::labels::by_label::ByLabel;
use crate::runs::{for_each_difference, rows_of};

/// A label of any width. The narrower the type, the more pixels are compared at once.
pub trait Label: Copy + PartialEq + Into<u32> + Send + Sync {}

impl<T: Copy + PartialEq + Into<u32> + Send + Sync> Label for T {}

/// The runs of every instance, labels ascending.
pub(super) struct Instances {
    /// The runs of one instance lie together, in the order of their first pixels. Each run lies within one column.
    runs: Vec<Span>,
    /// Each label and the places of its runs.
    labels: Vec<(u32, Range<usize>)>,
    /// The least number of instances that one thread encodes.
    least: usize,
}

impl Instances {
    pub(super) fn new<T: Label>(labels: ArrayView2<'_, T>) -> Self {
        let pixels = labels.len();
        if pixels == 0 {
            return Self {
                runs: Vec::new(),
                labels: Vec::new(),
                least: 1,
            };
        }
        let image = labels.as_standard_layout();
        let strip = share(image.ncols(), pixels);
        let columns: Vec<Vec<(u32, Span)>> = image
            .axis_chunks_iter(Axis(1), strip)
            .into_par_iter()
            .enumerate()
            .flat_map_iter(|(place, pixels)| runs_by_column(pixels, place * strip))
            .collect();
        Self::sorted(&columns, pixels)
    }

    /// Sort the runs by label with a counting sort. They are in the order of their first pixels already.
    fn sorted(columns: &[Vec<(u32, Span)>], pixels: usize) -> Self {
        let mut places = ByLabel::<usize>::new(pixels);
        let mut present = Vec::new();
        for &(label, _) in columns.iter().flatten() {
            let count = places.slot(label);
            if *count == 0 {
                present.push(label);
            }
            *count += 1;
        }
        present.sort_unstable();
        let mut end = 0;
        let labels: Vec<(u32, Range<usize>)> = present
            .into_iter()
            .map(|label| {
                let place = places.slot(label);
                let start = end;
                end += *place;
                *place = start;
                (label, start..end)
            })
            .collect();
        let nothing = Span {
            start: 0,
            length: 0,
        };
        let mut runs = vec![nothing; end];
        for &(label, run) in columns.iter().flatten() {
            let place = places.slot(label);
            runs[*place] = run;
            *place += 1;
        }
        let least = if pixels <= LITTLE {
            labels.len().max(1)
        } else {
            1
        };
        Self {
            runs,
            labels,
            least,
        }
    }

    /// Encode the runs of each instance, ascending and as long as possible.
    pub(super) fn encoded<Encoded: Send>(
        &self,
        encode: impl Fn(Joined<'_>) -> Encoded + Sync,
    ) -> Vec<(u32, Encoded)> {
        self.labels
            .par_iter()
            .with_min_len(self.least)
            .map(|(label, place)| (*label, encode(Joined(&self.runs[place.clone()]))))
            .collect()
    }
}

/// Runs, joined where one ends a column and the next starts the next column.
pub(super) struct Joined<'a>(&'a [Span]);

impl Iterator for Joined<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        let (&first, mut rest) = self.0.split_first()?;
        let mut run = first;
        while let Some((next, after)) = rest.split_first()
            && next.start == run.end()
        {
            run.length += next.length;
            rest = after;
        }
        self.0 = rest;
        Some(run)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(!self.0.is_empty()), Some(self.0.len()))
    }
}

/// The runs of each column of a strip that starts at `first_column`. Rows are compared many pixels at a time.
fn runs_by_column<T: Label>(
    strip: ArrayView2<'_, T>,
    first_column: usize,
) -> Vec<Vec<(u32, Span)>> {
    let (height, width) = strip.dim();
    let mut columns = vec![Vec::new(); width];
    let mut first_rows = vec![0; width];
    let mut close = |column: usize, label: u32, end: usize| {
        let start = std::mem::replace(&mut first_rows[column], end);
        if label != 0 {
            let run = Span {
                start: ((first_column + column) * height + start) as u64,
                length: (end - start) as u64,
            };
            columns[column].push((label, run));
        }
    };
    let mut above: &[T] = &[];
    for (row, here) in rows_of(strip).enumerate() {
        interrupt::check();
        for_each_difference(above, here, |column| {
            close(column, above[column].into(), row)
        });
        above = here;
    }
    for (column, &label) in above.iter().enumerate() {
        close(column, label.into(), height);
    }
    columns
}
