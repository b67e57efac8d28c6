//! Mask PNGs with one nucleus each, merged into one label image.

use std::io::Cursor;

use ndarray::{ArrayViewMut2, Axis, Slice};
use png::{ColorType, Decoder, DecodingError, Reader, Transformations};
use rayon::prelude::*;

use crate::Error;
use crate::interrupt;
use crate::merge::{Losses, Merge, label_of};
use crate::runs::Run;

/// The largest image, in pixels, whose shape is taken from the header of a file.
pub const MAX_PIXELS: u64 = 1 << 28;

/// The number of files that are decoded before they are merged: enough for all threads, few enough for memory.
const BATCH: usize = 64;

/// Rows and columns of a PNG, from its header alone.
///
/// # Errors
///
/// If the file is damaged or claims more pixels than [`MAX_PIXELS`].
pub fn shape(file: &[u8]) -> Result<(usize, usize), Error> {
    let mut decoder = Decoder::new(Cursor::new(file));
    let info = decoder
        .read_header_info()
        .map_err(|error| damaged(0, error))?;
    let (height, width) = (info.height, info.width);
    if u64::from(height) * u64::from(width) > MAX_PIXELS {
        return Err(Error::Data(format!(
            "mask 0: the PNG claims {height} x {width} pixels (rows x columns), more than 2^28; give the shape if that is meant"
        )));
    }
    Ok((height as usize, width as usize))
}

/// Merge mask PNGs on an all-background image, where file `i` gets label `i + 1`.
///
/// A pixel belongs to the nucleus where grey, or any of red, green and blue, is not zero; alpha is ignored.
///
/// # Errors
///
/// The fault of the first file that is damaged or of another shape than `labels`.
pub fn merge_mask_pngs<File: AsRef<[u8]> + Sync>(
    files: &[File],
    mut labels: ArrayViewMut2<'_, u32>,
) -> Result<Merge, Error> {
    let expected = labels.dim();
    let mut claimed = Vec::with_capacity(files.len());
    let mut losses = Losses::default();
    for batch in files.chunks(BATCH) {
        let first = claimed.len();
        let masks: Vec<_> = batch
            .par_iter()
            .enumerate()
            .map(|(index, file)| decode(first + index, file.as_ref(), expected))
            .collect();
        for runs in masks {
            let label = label_of(claimed.len());
            let mut pixels = 0;
            for run in runs? {
                pixels += run.columns().len() as u64;
                let mut row = labels.row_mut(run.value);
                for pixel in row.slice_axis_mut(Axis(0), Slice::from(run.columns())) {
                    losses.claim(pixel, label);
                }
            }
            claimed.push(pixels);
        }
    }
    Ok(Merge::new(&claimed, losses))
}

fn damaged(mask: usize, error: DecodingError) -> Error {
    Error::Data(format!("mask {mask}: not a readable PNG: {error}"))
}

fn decode(mask: usize, file: &[u8], expected: (usize, usize)) -> Result<Vec<Run<usize>>, Error> {
    interrupt::check();
    let damaged = |error| damaged(mask, error);
    let mut decoder = Decoder::new(Cursor::new(file));
    decoder.ignore_checksums(false);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::EXPAND);
    // The header is checked first, so that no file allocates more memory than the image.
    let info = decoder.read_header_info().map_err(damaged)?;
    let found = (info.height as usize, info.width as usize);
    if found != expected {
        return Err(Error::Data(format!(
            "mask {mask}: expected {} x {} pixels (rows x columns), the PNG has {} x {}",
            expected.0, expected.1, found.0, found.1
        )));
    }
    let mut reader = decoder.read_info().map_err(damaged)?;
    row_runs(&mut reader).map_err(damaged)
}

fn row_runs(reader: &mut Reader<Cursor<&[u8]>>) -> Result<Vec<Run<usize>>, DecodingError> {
    let length = reader
        .output_buffer_size()
        .ok_or(DecodingError::LimitsExceeded)?;
    let mut samples = vec![0; length];
    let frame = reader.next_frame(&mut samples)?;
    // The rest of the file is read too, as a cut file may be cut there.
    reader.finish()?;
    let channels = frame.color_type.samples();
    let opaque = match frame.color_type {
        ColorType::GrayscaleAlpha | ColorType::Rgba => channels - 1,
        ColorType::Grayscale | ColorType::Rgb | ColorType::Indexed => channels,
    };
    let sample_bytes = frame.bit_depth as usize / 8;
    let (pixel_bytes, opaque_bytes) = (channels * sample_bytes, opaque * sample_bytes);
    let mut runs: Vec<Run<usize>> = Vec::new();
    let blank = vec![0; frame.line_size];
    for (row, line) in samples.chunks_exact(frame.line_size).enumerate() {
        // Most rows of most masks are blank; one comparison per row is far cheaper than one per pixel.
        if line == blank {
            continue;
        }
        for (column, pixel) in (0..).zip(line.chunks_exact(pixel_bytes)) {
            if pixel[..opaque_bytes].iter().all(|&byte| byte == 0) {
                continue;
            }
            match runs.last_mut() {
                Some(last) if last.value == row && last.end == column => last.end += 1,
                _ => runs.push(Run {
                    start: column,
                    end: column + 1,
                    value: row,
                }),
            }
        }
    }
    Ok(runs)
}
