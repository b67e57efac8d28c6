//! What the network says of every pixel, from real numbers to bytes.

use std::borrow::Cow;
use std::sync::LazyLock;

use ndarray::parallel::prelude::*;
use ndarray::{ArrayView2, ArrayView3, ArrayViewMut3, Axis};
use thiserror::Error;

/// Logits are rounded to so many steps a unit, up to so many steps.
const LOGIT_STEPS: f32 = 64.0;
const LOGIT_LIMIT: i32 = 512;

/// Adding and taking away this rounds a number of up to 22 bits to a whole one, ties to even, on every processor.
const ROUNDING: f32 = 12_582_912.0;

/// Rows that one thread takes at a time.
const STRIP: usize = 32;

/// Channels of the output: logits of foreground and of centre heat, row and column offset.
const CHANNELS: usize = 4;

/// Probabilities times 255 by rounded logit: a table gives the same byte on every processor, as a vectorised
/// exponential does not.
static PROBABILITIES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    (-LOGIT_LIMIT..=LOGIT_LIMIT)
        .map(|step| {
            let logit = f64::from(step) / f64::from(LOGIT_STEPS);
            (255.0 / (1.0 + (-logit).exp())).round_ties_even() as u8
        })
        .collect()
});

/// Why an output could not be turned into maps.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MapsError {
    /// Another number of channels.
    #[error("output: expected 4 channels, got {0}")]
    Channels(usize),
    /// Maps of another size.
    #[error("maps: expected the shape {expected:?}, got {got:?}")]
    Shape {
        /// Height, width and channels that the output has.
        expected: (usize, usize, usize),
        /// Those of the maps.
        got: (usize, usize, usize),
    },
    /// Not a number, or infinity.
    #[error("output: expected finite numbers")]
    NotFinite,
}

/// Turn the network's output (4, H, W) into maps (H, W, 4).
///
/// Foreground and heat become probabilities times 255; offsets become `offset_steps` steps a unit plus 128, clipped to a
/// byte.
///
/// # Errors
///
/// [`MapsError`] where the shapes do not fit, or a number is not finite.
pub fn maps_of_output(
    output: ArrayView3<'_, f32>,
    offset_steps: f32,
    mut maps: ArrayViewMut3<'_, u8>,
) -> Result<(), MapsError> {
    let (channels, height, width) = output.dim();
    if channels != CHANNELS {
        return Err(MapsError::Channels(channels));
    }
    let expected = (height, width, CHANNELS);
    if maps.dim() != expected {
        let got = maps.dim();
        return Err(MapsError::Shape { expected, got });
    }
    let finite = maps
        .axis_chunks_iter_mut(Axis(0), STRIP)
        .into_par_iter()
        .enumerate()
        .map(|(strip, mut rows)| {
            let mut finite = true;
            for (row, mut bytes) in rows.outer_iter_mut().enumerate() {
                let seen = output.index_axis(Axis(1), strip * STRIP + row);
                let bytes = bytes.as_slice_mut().expect("rows of maps are contiguous");
                finite &= quantise_row(seen, offset_steps, bytes);
            }
            finite
        })
        .reduce(|| true, |first, second| first && second);
    finite.then_some(()).ok_or(MapsError::NotFinite)
}

/// Quantise one row (4, W), and tell whether all its numbers are finite.
fn quantise_row(row: ArrayView2<'_, f32>, offset_steps: f32, bytes: &mut [u8]) -> bool {
    let planes: [Cow<'_, [f32]>; CHANNELS] = std::array::from_fn(|channel| {
        let plane = row.index_axis_move(Axis(0), channel);
        plane
            .to_slice()
            .map_or_else(|| Cow::Owned(plane.to_vec()), Cow::Borrowed)
    });
    let [foreground, heat, down, right] = &planes;
    let finite = planes
        .iter()
        .all(|plane| plane.iter().all(|value| value.is_finite()));
    let values = foreground
        .iter()
        .zip(&**heat)
        .zip(down.iter().zip(&**right));
    for (pixel, ((foreground, heat), (down, right))) in
        bytes.as_chunks_mut().0.iter_mut().zip(values)
    {
        *pixel = [
            probability(*foreground),
            probability(*heat),
            offset(down * offset_steps),
            offset(right * offset_steps),
        ];
    }
    finite
}

fn probability(logit: f32) -> u8 {
    let limit = LOGIT_LIMIT as f32;
    let step = rounded((logit * LOGIT_STEPS).clamp(-limit, limit));
    PROBABILITIES[(step + limit) as usize]
}

fn offset(steps: f32) -> u8 {
    (rounded(steps.clamp(-128.0, 127.0)) + 128.0) as u8
}

fn rounded(value: f32) -> f32 {
    (value + ROUNDING) - ROUNDING
}
