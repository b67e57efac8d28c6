//! From maps to nuclei: every pixel is decided from stored integers within a finite margin.
//!
//! The maps are `(H, W, 4)` bytes: foreground probability and centre heat (each 0 to 255 for 0 to 1), then the row
//! and the column offset from the pixel to its nucleus's centre, in half pixels biased by 128.
//!
//! 1. The heat may be smoothed by an integer Gaussian (edges replicated); it is kept as heat * 65536.
//! 2. A *centre* is a pixel that ranks first (heat descending, then smaller row, then smaller column) within the
//!    square window around it and is hot enough.
//! 3. A centre yields to any higher-ranked one nearby unless the heat dips on the straight line between them. Whether
//!    the other is kept itself does not matter, so there are no chains.
//! 4. A foreground pixel goes to the kept centre nearest to where its offset points, if one is near enough.
//! 5. Each nucleus is cleaned by itself: largest piece, holes, least area, score and peak.
//!
//! All decisions are made in integers, depend on differences of coordinates only, and look no further than
//! [`GroupSettings::margin`]. So the result is the same at any number of threads, and a block of a larger image that is
//! read with that margin decides the nuclei whose centres it contains exactly as the whole image would.

mod assign;
mod clean;
mod grid;
mod heat;
mod peaks;
mod settings;

use ndarray::{Array2, ArrayView3};
use thiserror::Error;

use peaks::Centre;
pub use settings::GroupSettings;

/// Heat that stands for a probability of 1: bytes times the square of the smoothing kernel's sum.
const FULL_HEAT: u32 = 255 << 16;

/// Why maps could not be grouped.
#[derive(Debug, Error, PartialEq)]
pub enum GroupError {
    /// A setting out of its range.
    #[error("{name}: expected {expected}, got {got}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        got: String,
    },
    /// Maps that do not have four channels.
    #[error(
        "maps: expected 4 channels (foreground, centre heat, row offset, column offset), got {channels}"
    )]
    Channels {
        /// Number of channels given.
        channels: usize,
    },
    /// More pixels than 32 bits can number.
    #[error("maps: expected at most 2^32 - 1 pixels, got {rows} x {columns}; group it in blocks")]
    Size {
        /// Height given.
        rows: usize,
        /// Width given.
        columns: usize,
    },
}

/// Nuclei found in maps. The entry `i` of a list belongs to the label `i + 1`.
#[derive(Debug, Clone, PartialEq)]
pub struct Grouped {
    /// Label image, numbered 1..N by raster order of each nucleus's first pixel.
    pub labels: Array2<u32>,
    /// Row and column of each nucleus's centre: its key, unique among nuclei. It may lie off the nucleus.
    pub centres: Vec<[usize; 2]>,
    /// Mean foreground probability over each nucleus.
    pub scores: Vec<f32>,
    /// Heat, smoothed if so asked, at each nucleus's centre, as a probability.
    pub peaks: Vec<f32>,
}

/// Find the nuclei in maps of shape `(H, W, 4)`; see the module for the rules.
///
/// # Errors
/// If a setting is out of its range, or the maps do not have four channels or too many pixels.
pub fn group(maps: ArrayView3<'_, u8>, settings: &GroupSettings) -> Result<Grouped, GroupError> {
    settings.validate()?;
    let (rows, columns, channels) = maps.dim();
    if channels != 4 {
        return Err(GroupError::Channels { channels });
    }
    if rows
        .checked_mul(columns)
        .is_none_or(|pixels| pixels > u32::MAX as usize)
    {
        return Err(GroupError::Size { rows, columns });
    }
    if rows == 0 || columns == 0 {
        return Ok(number(Array2::zeros((rows, columns)), Vec::new(), &[]));
    }
    let heat = heat::smooth(maps, settings.heat_sigma);
    let candidates = peaks::candidates(heat.view(), settings);
    let centres = peaks::keep(heat.view(), &candidates, settings);
    // One plane for heat, owners and labels in turn: memory that is new must be cleared first.
    let owners = assign::owners(maps, &centres, settings, heat);
    let nuclei = clean::clean(maps, owners.view(), &centres, settings);
    Ok(number(owners, nuclei, &centres))
}

/// The nuclei, numbered by their first pixels, as a label image, drawn on `plane`, and lists.
fn number(mut plane: Array2<u32>, mut nuclei: Vec<clean::Nucleus>, centres: &[Centre]) -> Grouped {
    nuclei.sort_unstable_by_key(clean::Nucleus::first_pixel);
    plane.fill(0);
    let columns = plane.ncols();
    let pixels = plane.as_slice_mut().expect("it is laid out row by row");
    for (label, nucleus) in (1..).zip(&nuclei) {
        for run in &nucleus.runs {
            pixels[run.row * columns..][run.start..run.end].fill(label);
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
        scores: nuclei.iter().map(|nucleus| nucleus.score as f32).collect(),
        peaks: nuclei
            .iter()
            .map(|nucleus| peak(of(nucleus).heat))
            .collect(),
    }
}
