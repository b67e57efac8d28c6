//! The extension module `nucleus_unet._core`: it checks arguments, releases the GIL and maps errors.
//!
//! Its files are those of `nucleus_kernels`, one for each module with Python functions, besides `arrays` and `border`.
#![deny(unsafe_code)]

use pyo3::prelude::*;

mod arrays;
mod blend;
mod border;
mod geometry;
mod group;
mod labels;
mod levels;
mod maps;
mod mask_png;
mod merge;
mod octave;
mod resample;
mod rle;
mod shape;

#[pymodule]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        std::sync::LazyLock::force(&super::border::POOL_OWNER);
        Ok(())
    }

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    /// Whether the processor has the instructions of AVX2.
    #[pyfunction]
    fn has_avx2() -> bool {
        #[cfg(target_arch = "x86_64")]
        return std::is_x86_feature_detected!("avx2");
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    #[pymodule_export]
    use super::blend::blend_tiles;
    #[pymodule_export]
    use super::geometry::geojson::geojson_features;
    #[pymodule_export]
    use super::geometry::neighbours::neighbours;
    #[pymodule_export]
    use super::geometry::wkb::{check_outlines, contours_wkb};
    #[pymodule_export]
    use super::group::{group, group_margin};
    #[pymodule_export]
    use super::labels::{
        components::label,
        distance::distance,
        expand::expand_labels,
        fill::fill_holes,
        filter::{clear_border, filter_by_area},
        overlap::overlaps,
        relabel::relabel_sequential,
        resample::resample_labels,
        runs::{draw_runs, label_runs},
        smooth::smooth_labels,
        watershed::watershed,
    };
    #[pymodule_export]
    use super::levels::{box_sums, count_values, normalise};
    #[pymodule_export]
    use super::maps::maps_of_output;
    #[pymodule_export]
    use super::mask_png::merge_mask_pngs;
    #[pymodule_export]
    use super::octave::halve;
    #[pymodule_export]
    use super::resample::resample;
    #[pymodule_export]
    use super::rle::{
        coco_to_labels, coco_to_mask, kaggle_to_labels, labels_to_coco, labels_to_kaggle,
        mask_to_coco, rle_areas, rle_boxes, rle_iou,
    };
    #[pymodule_export]
    use super::shape::{
        background::backgrounds, contour::contours, intensity::statistics, measure::measure,
        moments::shapes, simplify::simplify_ring,
    };
}
