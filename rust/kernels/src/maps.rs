//! The maps: the output of the network, quantised to bytes.

use std::borrow::Cow;
use std::sync::LazyLock;

use ndarray::parallel::prelude::*;
use ndarray::{ArrayView2, ArrayView3, ArrayViewMut3, Axis};

use crate::error::{Error, check_shape};

/// Logits are rounded to this many steps per unit and clipped to this many steps.
const LOGIT_STEPS: f32 = 64.0;
const LOGIT_LIMIT: i32 = 512;

/// Adding this number rounds a number of up to 22 bits to an integer, ties to even, on every processor.
const ROUNDING: f32 = 12_582_912.0;

/// The number of rows that one thread takes at a time.
const STRIP: usize = 32;

/// The number of pixels that are quantised together.
const STRETCH: usize = 64;

/// The channels of the output: logits of foreground and of the centre heatmap, row and column offset.
const CHANNELS: usize = 4;

/// Probabilities times 255 by rounded logit. Unlike a vectorised exponential, a table gives the same byte on every processor.
static PROBABILITIES: LazyLock<[u8; 2 * LOGIT_LIMIT as usize + 1]> = LazyLock::new(|| {
    std::array::from_fn(|place| {
        let logit = f64::from(place as i32 - LOGIT_LIMIT) / f64::from(LOGIT_STEPS);
        (255.0 / (1.0 + (-logit).exp())).round_ties_even() as u8
    })
});

/// Quantise the output of the network (4, H, W) to maps (H, W, 4).
///
/// Foreground and heat become probabilities times 255. Offsets become `offset_steps` steps per unit plus 128, clipped to a
/// byte. Offsets of pixels below `least_foreground` become 0: they are unused noise that would not compress.
///
/// # Errors
///
/// If the shapes do not match or a number is not finite.
pub fn maps_of_output(
    output: ArrayView3<'_, f32>,
    offset_steps: f32,
    least_foreground: u8,
    mut maps: ArrayViewMut3<'_, u8>,
) -> Result<(), Error> {
    let (channels, height, width) = output.dim();
    if channels != CHANNELS {
        let message = format!("output: expected 4 channels, got {channels}");
        return Err(Error::Data(message));
    }
    check_shape("maps", "the shape", (height, width, CHANNELS), maps.dim())?;
    let finite = maps
        .axis_chunks_iter_mut(Axis(0), STRIP)
        .into_par_iter()
        .enumerate()
        .map(|(strip, mut rows)| {
            let mut finite = true;
            for (row, mut bytes) in rows.outer_iter_mut().enumerate() {
                let seen = output.index_axis(Axis(1), strip * STRIP + row);
                let bytes = bytes.as_slice_mut().expect("rows of maps are contiguous");
                finite &= quantise_row(seen, offset_steps, least_foreground, bytes);
            }
            finite
        })
        .reduce(|| true, |first, second| first && second);
    if finite {
        Ok(())
    } else {
        Err(Error::Data("output: expected finite numbers".into()))
    }
}

/// Quantise one row (4, W), and return whether all its numbers are finite.
fn quantise_row(
    row: ArrayView2<'_, f32>,
    offset_steps: f32,
    least_foreground: u8,
    bytes: &mut [u8],
) -> bool {
    let planes: [Cow<'_, [f32]>; CHANNELS] = std::array::from_fn(|channel| {
        let plane = row.index_axis_move(Axis(0), channel);
        plane
            .to_slice()
            .map_or_else(|| Cow::Owned(plane.to_vec()), Cow::Borrowed)
    });
    // The fold has no early exit, so it compiles to vector instructions.
    let finite = planes.iter().all(|plane| {
        plane
            .iter()
            .fold(true, |finite, value| finite & value.is_finite())
    });
    if !finite {
        return false;
    }
    let [foreground, heat, down, right] = planes.each_ref().map(|plane| plane.chunks(STRETCH));
    let logits = foreground.zip(heat);
    let offsets = down.zip(right);
    let (pixels, _) = bytes.as_chunks_mut::<CHANNELS>();
    for ((pixels, (foreground, heat)), (down, right)) in
        pixels.chunks_mut(STRETCH).zip(logits).zip(offsets)
    {
        // Each loop does one thing, so that most compile to vector instructions.
        let mut bytes = [[0; STRETCH]; CHANNELS];
        probabilities(foreground, &mut bytes[0]);
        probabilities(heat, &mut bytes[1]);
        if bytes[0]
            .iter()
            .any(|&foreground| foreground >= least_foreground)
        {
            for (plane, bytes) in [down, right].into_iter().zip(&mut bytes[2..]) {
                for (byte, value) in bytes.iter_mut().zip(plane) {
                    *byte = offset(value * offset_steps);
                }
            }
        }
        for (place, pixel) in pixels.iter_mut().enumerate() {
            let [foreground, heat, down, right] = bytes.each_ref().map(|plane| plane[place]);
            let seen = u8::from(foreground >= least_foreground);
            *pixel = [foreground, heat, seen * down, seen * right];
        }
    }
    true
}

/// Write the probability of each logit times 255.
fn probabilities(logits: &[f32], bytes: &mut [u8; STRETCH]) {
    let limit = LOGIT_LIMIT as f32;
    let mut steps = [0_i32; STRETCH];
    for (step, logit) in steps.iter_mut().zip(logits) {
        *step = rounded((logit * LOGIT_STEPS).clamp(-limit, limit));
    }
    let table = &*PROBABILITIES;
    for (byte, step) in bytes.iter_mut().zip(steps) {
        *byte = table[(step + LOGIT_LIMIT) as usize];
    }
}

fn offset(steps: f32) -> u8 {
    (rounded(steps.clamp(-128.0, 127.0)) + 128) as u8
}

/// Round a number of up to 22 bits to the nearest integer, ties to even.
fn rounded(value: f32) -> i32 {
    // The lowest bits of the sum are the integer. This is faster than a conversion, which checks for overflow.
    (value + ROUNDING).to_bits() as i32 - ROUNDING.to_bits() as i32
}
