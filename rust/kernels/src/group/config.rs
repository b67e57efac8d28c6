//! The configuration of grouping, and the margin that follows from it.

use super::FULL_HEAT;
use super::quality::QualityScore;
use crate::Error;

/// Rounding slack, in integer steps, of a threshold that stands for an integer: 128.0 / 255.0 means 128.
const SLACK: f64 = 1e-6;

/// The configuration of grouping. Distances are in pixels of the maps; probabilities are from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupConfig {
    /// Least foreground probability of a pixel that may belong to a nucleus.
    pub foreground_threshold: f64,
    /// Least heat of a centre. A pixel without heat is never a centre.
    pub centre_threshold: f64,
    /// Standard deviation of the Gaussian that smooths the heat, 0 to 16; 0 for no smoothing.
    pub centre_sigma: f64,
    /// Radius of the square window in which a centre ranks first, 1 to 128.
    pub window: usize,
    /// Largest distance at which a centre may yield to a higher one, 0 to 128.
    pub merge_distance: f64,
    /// A centre yields if the heat on the line to the other never falls below its own times `1 - merge_dip`.
    pub merge_dip: f64,
    /// Largest distance between a centre and the place where an offset points, 0 to 128.
    pub assignment_radius: f64,
    /// Offsets are clipped to this many rows and columns, 0 to 64. A byte holds no larger offset.
    pub max_offset: usize,
    /// Least number of pixels of a nucleus, filled holes included.
    pub min_area: u64,
    /// Least mean foreground probability of a nucleus.
    pub min_score: f64,
    /// Least heat at the centre of a nucleus.
    pub min_peak: f64,
    /// The function that estimates the quality of a nucleus, if one was learned.
    pub quality: Option<QualityScore>,
    /// Least quality of a nucleus; without effect if no function was learned.
    pub min_quality: f64,
}

impl GroupConfig {
    /// Check every setting against its range.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first setting that is out of its range.
    pub fn validate(&self) -> Result<(), Error> {
        number("foreground_threshold", self.foreground_threshold, 0, 1)?;
        number("centre_threshold", self.centre_threshold, 0, 1)?;
        number("centre_sigma", self.centre_sigma, 0, 16)?;
        integer("window", self.window, 1, 128)?;
        number("merge_distance", self.merge_distance, 0, 128)?;
        number("merge_dip", self.merge_dip, 0, 1)?;
        number("assignment_radius", self.assignment_radius, 0, 128)?;
        integer("max_offset", self.max_offset, 0, 64)?;
        number("min_score", self.min_score, 0, 1)?;
        number("min_peak", self.min_peak, 0, 1)?;
        number("min_quality", self.min_quality, 0, 1)?;
        self.quality.map_or(Ok(()), |score| score.validate())
    }

    /// The number of pixels beyond the centre of a nucleus, on every side, that can change its pixels or its quality.
    ///
    /// The pixels of a nucleus lie within `max_offset + assignment_radius` of its centre, and so do the centres that compete
    /// for them. Whether such a centre is kept depends on the heat within the merge distance, on the window around every
    /// centre there, and on the pixels that smoothing mixes in.
    #[must_use]
    pub fn margin(&self) -> usize {
        2 * (self.max_offset + whole(self.assignment_radius))
            + whole(self.merge_distance)
            + self.window
            + self.smoothing_radius()
    }

    /// The number of pixels on either side that smoothing mixes in.
    pub(super) fn smoothing_radius(&self) -> usize {
        whole(3.0 * self.centre_sigma)
    }

    /// Least foreground byte of a pixel that may belong to a nucleus.
    pub(super) fn least_foreground(&self) -> u32 {
        least(self.foreground_threshold, 255)
    }

    /// Least heat of a centre.
    pub(super) fn least_centre(&self) -> u32 {
        least(self.centre_threshold, FULL_HEAT).max(1)
    }

    /// Least heat at the centre of a nucleus that stays.
    pub(super) fn least_peak(&self) -> u32 {
        least(self.min_peak, FULL_HEAT)
    }
}

/// Smallest integer that is at least `part` of `full`.
fn least(part: f64, full: u32) -> u32 {
    (part * f64::from(full) - SLACK).ceil().max(0.0) as u32
}

/// Smallest number of whole pixels that holds a distance.
pub(super) fn whole(distance: f64) -> usize {
    distance.ceil() as usize
}

fn number(name: &str, got: f64, least: u32, most: u32) -> Result<(), Error> {
    // Written so that NaN is refused too.
    if got >= f64::from(least) && got <= f64::from(most) {
        return Ok(());
    }
    Err(Error::Setting(format!(
        "{name}: expected a number from {least} to {most}, got {got}"
    )))
}

fn integer(name: &str, got: usize, least: usize, most: usize) -> Result<(), Error> {
    if (least..=most).contains(&got) {
        return Ok(());
    }
    Err(Error::Setting(format!(
        "{name}: expected an integer from {least} to {most}, got {got}"
    )))
}
