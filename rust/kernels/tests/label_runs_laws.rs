//! Laws of the runs of nuclei: they are the pixels of the image, nucleus by nucleus.

mod common;

use std::collections::BTreeSet;

use common::{label_images, same_at_any_thread_count};
use ndarray::{Array2, s};
use nucleus_kernels::labels::runs::{draw_runs, label_runs};
use proptest::prelude::*;

proptest! {
    #[test]
    fn painting_the_runs_restores_the_image(labels in label_images()) {
        let found = label_runs(labels.view()).unwrap();
        let mut painted = Array2::zeros(labels.dim());
        for (nucleus, &label) in found.labels.iter().enumerate() {
            for &[row, start, end] in &found.runs[found.first[nucleus]..found.first[nucleus + 1]] {
                prop_assert!(start < end);
                painted.slice_mut(s![row, start..end]).fill(label);
            }
        }
        prop_assert_eq!(painted, labels);
    }

    #[test]
    fn a_window_is_drawn_as_it_is_cut_from_the_whole(labels in label_images(), corner in [-3_i64..14, -3_i64..160], shape in (0_usize..9, 0_usize..90)) {
        let found = label_runs(labels.view()).unwrap();
        let runs: Vec<[i64; 3]> = found.runs.iter().map(|run| run.map(i64::from)).collect();
        let of_runs: Vec<u32> = (found.first.windows(2).zip(&found.labels))
            .flat_map(|(bounds, &label)| vec![label; bounds[1] - bounds[0]])
            .collect();
        let mut drawn = Array2::zeros(shape);
        draw_runs(&runs, &of_runs, corner, drawn.view_mut()).unwrap();
        for ((row, column), &label) in drawn.indexed_iter() {
            let place = [row as i64 + corner[0], column as i64 + corner[1]].map(usize::try_from);
            let expected = match place {
                [Ok(row), Ok(column)] => labels.get((row, column)).copied().unwrap_or(0),
                _ => 0,
            };
            prop_assert_eq!(label, expected);
        }
    }

    #[test]
    fn labels_ascend_and_no_run_is_cut_in_two(labels in label_images()) {
        let found = label_runs(labels.view()).unwrap();
        let present: BTreeSet<u32> = labels.iter().copied().filter(|&label| label != 0).collect();
        prop_assert_eq!(&found.labels, &present.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(found.first.len(), found.labels.len() + 1);
        for bounds in found.first.windows(2) {
            for pair in found.runs[bounds[0]..bounds[1]].windows(2) {
                let [row, _, end] = pair[0];
                let [next_row, next_start, _] = pair[1];
                prop_assert!(row < next_row || row == next_row && end < next_start);
            }
        }
    }

    #[test]
    fn a_part_of_an_image_and_its_copy_have_the_same_runs(labels in label_images(), step in 1_isize..3) {
        let part = labels.slice(s![.., labels.ncols() / 3..;step]);
        prop_assert_eq!(label_runs(part), label_runs(part.to_owned().view()));
    }

    #[test]
    fn threads_change_nothing(labels in label_images()) {
        same_at_any_thread_count(|| label_runs(labels.view())).unwrap();
    }
}
