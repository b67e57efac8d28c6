//! Centre-offset grouping: from the maps of the network to nuclei.
//!
//! The method is that of Panoptic-DeepLab: Cheng et al. (2020), Panoptic-DeepLab: a simple, strong, and fast baseline for
//! bottom-up panoptic segmentation, <https://arxiv.org/abs/1911.10194>. Centres are peaks of a heatmap, and each foreground
//! pixel joins the centre nearest to where its offset points.
//!
//! The maps are `(H, W, 4)` bytes: the foreground probability and the centre heatmap (each 0 to 255 for 0 to 1), then the
//! row and the column offset from the pixel to the centre of its nucleus, in half pixels, biased by 128.
//!
//! 1. An integer Gaussian may smooth the centre heatmap; edges are replicated. The result is kept as heat * 65536.
//! 2. A *centre* is a pixel that ranks first (heat descending, then smaller row, then smaller column) within the square
//!    window around it and reaches the centre threshold.
//! 3. A centre yields to any higher-ranked one within the merge distance unless the heat dips on the straight line between
//!    them. It yields even if the other one yields too, so there are no chains.
//! 4. A foreground pixel goes to the kept centre nearest to where its offset points, if that centre lies within the
//!    assignment radius.
//! 5. Each nucleus is cleaned by itself: the largest piece stays, its holes are filled, and the nucleus is dropped if it
//!    misses the least area, score, peak or quality.
//!
//! All decisions but the last are made in integers. All depend on differences of coordinates only, and look no further than
//! [`GroupConfig::margin`]. So the result is the same at any number of threads. A block of a larger image that is read with
//! that margin decides the nuclei whose centres it contains exactly as the whole image would.

mod assign;
mod centre;
mod clean;
mod config;
mod grid;
mod heat;
mod peaks;
mod quality;

use ndarray::{Array2, ArrayView3};

use crate::Error;
use centre::Centre;
pub use config::GroupConfig;
pub use quality::{MEASUREMENTS, Measurements, QualityScore, TERMS};

/// The number of channels of the maps.
const CHANNELS: usize = 4;

/// The number of columns that are passed over together where there is nothing to find.
const STRETCH: usize = 32;

/// Heat that stands for a probability of 1: bytes times the square of the smoothing kernel's sum.
const FULL_HEAT: u32 = 255 << 16;

/// The nuclei found in maps. Entry `i` of each list belongs to label `i + 1`.
#[derive(Debug, Clone, PartialEq)]
pub struct Grouped {
    /// The label image, numbered 1..N by raster order of the first pixel of each nucleus.
    pub labels: Array2<u32>,
    /// Row and column of the centre of each nucleus. A centre is unique among nuclei and may lie off its nucleus.
    pub centres: Vec<[usize; 2]>,
    /// Mean foreground probability over each nucleus.
    pub scores: Vec<f32>,
    /// Heat at the centre of each nucleus, after smoothing, as a probability.
    pub peaks: Vec<f32>,
    /// Estimated quality of each nucleus, if a function was learned.
    pub qualities: Option<Vec<f32>>,
    /// What the quality is estimated from.
    pub measurements: Vec<Measurements>,
}

/// Find the nuclei in maps of shape `(H, W, 4)`. The module's documentation states the rules.
///
/// # Errors
/// If a setting is out of its range, the maps do not have four channels, or they have too many pixels.
pub fn group(maps: ArrayView3<'_, u8>, config: &GroupConfig) -> Result<Grouped, Error> {
    config.validate()?;
    let (rows, columns, channels) = maps.dim();
    if channels != CHANNELS {
        return Err(Error::Data(format!(
            "maps: expected 4 channels (foreground, centre heat, row offset, column offset), got {channels}"
        )));
    }
    if rows
        .checked_mul(columns)
        .is_none_or(|pixels| pixels > u32::MAX as usize)
    {
        return Err(Error::Data(format!(
            "maps: expected at most 2^32 - 1 pixels, got {rows} x {columns}; group it in blocks"
        )));
    }
    if rows == 0 || columns == 0 {
        let empty = Array2::zeros((rows, columns));
        return Ok(number(empty, Vec::new(), &[], config));
    }
    let maps = maps.as_standard_layout();
    let maps = maps.view();
    let heat = heat::smooth(maps, config.centre_sigma);
    let candidates = peaks::candidates(heat.view(), config);
    let centres = peaks::keep(heat.view(), &candidates, config);
    // One plane holds heat, owners and labels in turn: a new plane would have to be cleared first.
    let owners = assign::owners(maps, &centres, config, heat);
    let nuclei = clean::clean(maps, owners.view(), &centres, config);
    Ok(number(owners, nuclei, &centres, config))
}

/// Number the nuclei by their first pixels, draw them on `plane`, and list their properties.
fn number(
    mut plane: Array2<u32>,
    mut nuclei: Vec<clean::Nucleus>,
    centres: &[Centre],
    config: &GroupConfig,
) -> Grouped {
    nuclei.sort_unstable_by_key(clean::Nucleus::first_pixel);
    plane.fill(0);
    let columns = plane.ncols();
    let pixels = plane
        .as_slice_mut()
        .expect("the plane is laid out row by row");
    for (label, nucleus) in (1..).zip(&nuclei) {
        for run in &nucleus.runs {
            pixels[run.value * columns..][run.columns()].fill(label);
        }
    }
    let of = |nucleus: &clean::Nucleus| centres[nucleus.owner];
    let peak = |heat: u32| (f64::from(heat) / f64::from(FULL_HEAT)) as f32;
    Grouped {
        labels: plane,
        centres: nuclei
            .iter()
            .map(|nucleus| [of(nucleus).row, of(nucleus).column])
            .collect(),
        scores: nuclei
            .iter()
            .map(|nucleus| nucleus.measurements[0] as f32)
            .collect(),
        peaks: nuclei
            .iter()
            .map(|nucleus| peak(of(nucleus).heat))
            .collect(),
        qualities: config
            .quality
            .and_then(|_| nuclei.iter().map(|nucleus| nucleus.quality).collect()),
        measurements: nuclei.iter().map(|nucleus| nucleus.measurements).collect(),
    }
}
