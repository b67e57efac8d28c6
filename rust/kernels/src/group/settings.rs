//! What grouping can be told, and how far it then looks.

use super::{FULL_HEAT, GroupError};

/// Rounding slack, in integer steps, of a threshold that meant to be an integer: 128.0 / 255.0 means 128.
const SLACK: f64 = 1e-6;

/// How maps become nuclei. Distances are in pixels of the maps, probabilities from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupSettings {
    /// Least foreground probability of a pixel that may belong to a nucleus.
    pub foreground_threshold: f64,
    /// Least heat of a centre. No heat at all is never a centre.
    pub heat_threshold: f64,
    /// Standard deviation of the Gaussian that smooths the heat, 0 to 16; 0 for none.
    pub heat_sigma: f64,
    /// Radius of the square window in which a centre ranks first, 1 to 128.
    pub window: usize,
    /// Largest distance at which a centre may yield to a higher one, 0 to 128.
    pub join_distance: f64,
    /// A centre yields where the heat on the way never falls below its own times 1 minus this part.
    pub join_dip: f64,
    /// Largest distance from where an offset points to a centre, 0 to 128.
    pub snap: f64,
    /// Offsets are clipped to this, row and column each, 0 to 64 (a byte says no more).
    pub reach: usize,
    /// Least number of pixels of a nucleus, filled holes included.
    pub min_area: u64,
    /// Least mean foreground probability of a nucleus.
    pub min_score: f64,
    /// Least heat at a nucleus's centre.
    pub min_peak: f64,
}

impl GroupSettings {
    /// Check every setting against its range.
    ///
    /// # Errors
    /// Names the first setting out of its range, what it may be and what it is.
    pub fn validate(&self) -> Result<(), GroupError> {
        number("foreground_threshold", self.foreground_threshold, 0, 1)?;
        number("heat_threshold", self.heat_threshold, 0, 1)?;
        number("heat_sigma", self.heat_sigma, 0, 16)?;
        integer("window", self.window, 1, 128)?;
        number("join_distance", self.join_distance, 0, 128)?;
        number("join_dip", self.join_dip, 0, 1)?;
        number("snap", self.snap, 0, 128)?;
        integer("reach", self.reach, 0, 64)?;
        number("min_score", self.min_score, 0, 1)?;
        number("min_peak", self.min_peak, 0, 1)
    }

    /// How many pixels beyond a nucleus's centre, on every side, can influence which pixels the nucleus has.
    ///
    /// Its pixels lie within reach + snap of its centre, and so do the centres that compete for them; whether such
    /// a centre is kept depends on the heat within the join distance, on the window around every centre there, and
    /// on what smoothing mixes into it.
    #[must_use]
    pub fn margin(&self) -> usize {
        2 * (self.reach + whole(self.snap))
            + whole(self.join_distance)
            + self.window
            + self.smoothing_radius()
    }

    /// Pixels on either side that smoothing mixes in.
    pub(super) fn smoothing_radius(&self) -> usize {
        whole(3.0 * self.heat_sigma)
    }

    /// Least foreground byte of a pixel that may belong to a nucleus.
    pub(super) fn least_foreground(&self) -> u32 {
        least(self.foreground_threshold, 255)
    }

    /// Least heat of a centre.
    pub(super) fn least_heat(&self) -> u32 {
        least(self.heat_threshold, FULL_HEAT).max(1)
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

fn number(name: &'static str, got: f64, least: u32, most: u32) -> Result<(), GroupError> {
    // Written so that NaN is refused too.
    if got >= f64::from(least) && got <= f64::from(most) {
        return Ok(());
    }
    Err(GroupError::Setting {
        name,
        expected: format!("a number from {least} to {most}"),
        got: got.to_string(),
    })
}

fn integer(name: &'static str, got: usize, least: usize, most: usize) -> Result<(), GroupError> {
    if (least..=most).contains(&got) {
        return Ok(());
    }
    Err(GroupError::Setting {
        name,
        expected: format!("an integer from {least} to {most}"),
        got: got.to_string(),
    })
}
