//! The form of COCO: alternating lengths of background and nucleus, as a list or compressed to a string.
//!
//! The string is that of `rleToString` in pycocotools. From the fourth count on, it holds the difference to the count two
//! before. A number is cut into groups of 5 bits, lowest first, with a sixth bit if more groups follow; each group plus 48
//! is one character.

use ndarray::{ArrayView2, ArrayViewMut2};

use super::instances::{Instances, Label};
use super::{Fault, Span, paint, parse_all};
use crate::Error;
use crate::merge::Merge;

/// The most groups of 5 bits of a difference of two 32-bit counts.
const MAX_GROUPS: u32 = 7;

/// The counts of one mask.
#[derive(Debug, Clone)]
pub enum CocoCounts<Text> {
    /// The string of pycocotools.
    Compressed(Text),
    /// The list, unchecked.
    Plain(Vec<i64>),
}

impl<Text: AsRef<[u8]>> CocoCounts<Text> {
    /// Call `run` with each run of a mask of an image with this many pixels, in the order of first pixels, up to the first
    /// fault.
    pub(super) fn for_each_run(&self, pixels: u64, mut run: impl FnMut(Span)) -> Result<(), Fault> {
        match self {
            Self::Compressed(text) => {
                match for_each_run_of_sound(text.as_ref(), pixels, &mut run) {
                    Some(()) => Ok(()),
                    None => Err(for_each_run(Characters::new(text.as_ref()), pixels, |_| ())
                        .expect_err("only a fault stops the fast reader")),
                }
            }
            Self::Plain(values) => for_each_run(checked(values), pixels, run),
        }
    }

    /// The runs of a mask of an image with this many pixels.
    fn runs(&self, pixels: u64) -> Result<Vec<Span>, Fault> {
        let mut runs = Vec::with_capacity(self.size() / 4);
        self.for_each_run(pixels, |run| runs.push(run))?;
        Ok(runs)
    }

    /// The number of characters or numbers of the encoding.
    pub fn size(&self) -> usize {
        match self {
            Self::Compressed(text) => text.as_ref().len(),
            Self::Plain(values) => values.len(),
        }
    }
}

/// Encode every instance of a label image, labels ascending. `encode` gets its counts, which [`coco_string`] compresses.
///
/// # Errors
///
/// If the image has 2^32 pixels or more.
pub fn labels_to_coco<T: Label, Encoded: Send>(
    labels: ArrayView2<'_, T>,
    encode: impl Fn(Vec<u32>) -> Encoded + Sync,
) -> Result<Vec<(u32, Encoded)>, Error> {
    let pixels = coco_pixels(labels.dim())?;
    Ok(Instances::new(labels).encoded(|runs| encode(counts(runs, pixels))))
}

/// Decode masks on an all-background image; mask `i` gets label `i + 1`.
///
/// # Errors
///
/// If the image has 2^32 pixels or more; else the first fault of the first
/// faulty mask, by the place of the mask in the list.
pub fn coco_to_labels<Text: AsRef<[u8]> + Sync>(
    masks: &[CocoCounts<Text>],
    labels: ArrayViewMut2<'_, u32>,
) -> Result<Merge, Error> {
    let pixels = u64::from(coco_pixels(labels.dim())?);
    let runs = parse_all(masks, CocoCounts::size, |counts| counts.runs(pixels))?;
    Ok(paint(&runs, labels))
}

/// Compress counts as pycocotools does, character for character.
pub fn coco_string(counts: &[u32]) -> String {
    let mut text = Vec::with_capacity(2 * counts.len());
    for (index, &count) in counts.iter().enumerate() {
        let before = if index > 2 { counts[index - 2] } else { 0 };
        let mut rest = i64::from(count) - i64::from(before);
        loop {
            let group = (rest & 0x1f) as u8;
            rest >>= 5;
            // The fifth bit is the sign: the number ends where only copies of it would follow.
            let more = rest != if group & 0x10 == 0 { 0 } else { -1 };
            text.push(48 + (group | if more { 0x20 } else { 0 }));
            if !more {
                break;
            }
        }
    }
    String::from_utf8(text).expect("the 64 characters are text")
}

/// The number of pixels of an image with these rows and columns. It must fit in a count.
///
/// # Errors
///
/// If it does not fit.
pub fn coco_pixels((height, width): (usize, usize)) -> Result<u32, Error> {
    height
        .checked_mul(width)
        .and_then(|pixels| u32::try_from(pixels).ok())
        .ok_or_else(|| {
            Error::Data(format!(
                "COCO counts have 32 bits, which {height} x {width} pixels exceed; use Kaggle's encoding, or cut the image"
            ))
        })
}

fn counts(runs: impl Iterator<Item = Span>, pixels: u32) -> Vec<u32> {
    let narrow = |value: u64| u32::try_from(value).expect("runs lie within 2^32 pixels");
    let mut counts = Vec::with_capacity(2 * runs.size_hint().1.unwrap_or_default() + 1);
    let mut end = 0;
    for run in runs {
        counts.extend([narrow(run.start - end), narrow(run.length)]);
        end = run.end();
    }
    // As in pycocotools, a mask with the last pixel ends with its own count.
    if end < u64::from(pixels) {
        counts.push(narrow(u64::from(pixels) - end));
    }
    counts
}

/// Do the work of `for_each_run` for a string without faults; `None` if it has one. It is faster without error messages.
fn for_each_run_of_sound(text: &[u8], pixels: u64, mut run: impl FnMut(Span)) -> Option<()> {
    let (mut start, mut before, mut place, mut inside) = (0, [0; 2], 0, false);
    // The first three counts are absolute, the others differences.
    let mut absolute = 3;
    while place < text.len() {
        let (mut value, mut bits) = (0_i64, 0);
        loop {
            let group = text.get(place)?.wrapping_sub(48);
            place += 1;
            if group >= 64 || bits == 5 * MAX_GROUPS {
                return None;
            }
            value |= i64::from(group & 0x1f) << bits;
            bits += 5;
            if group & 0x20 == 0 {
                break;
            }
        }
        value = value << (64 - bits) >> (64 - bits);
        if absolute > 0 {
            absolute -= 1;
        } else {
            value += before[0];
        }
        before = [before[1], value];
        let length = u64::from(u32::try_from(value).ok()?);
        if length > pixels - start {
            return None;
        }
        if inside && length > 0 {
            run(Span { start, length });
        }
        inside = !inside;
        start += length;
    }
    (start == pixels).then_some(())
}

fn for_each_run(
    counts: impl Iterator<Item = Result<u32, Fault>>,
    pixels: u64,
    mut run: impl FnMut(Span),
) -> Result<(), Fault> {
    let (mut start, mut count) = (0, 0);
    for value in counts {
        let value = value?;
        let length = u64::from(value);
        if length > pixels - start {
            return Err(format!(
                "count {count} is {value} and runs past the last pixel of the image, {pixels}"
            ));
        }
        if count % 2 == 1 && length > 0 {
            run(Span { start, length });
        }
        start += length;
        count += 1;
    }
    if start < pixels {
        return Err(format!(
            "after count {count}: the {count} counts sum to {start}, but the image has {pixels} pixels"
        ));
    }
    Ok(())
}

fn checked(values: &[i64]) -> impl Iterator<Item = Result<u32, Fault>> {
    let counts = values.iter().enumerate();
    counts.map(|(count, &value)| narrow(count, value))
}

/// The value of a count in 32 bits.
fn narrow(count: usize, value: i64) -> Result<u32, Fault> {
    u32::try_from(value).map_err(|_| format!("count {count} is {value}, expected 0 to 4294967295"))
}

/// The counts of a compressed string, up to its first fault.
struct Characters<'a> {
    text: &'a [u8],
    character: usize,
    count: usize,
    /// The last count but one, then the last count.
    before: [u32; 2],
}

impl<'a> Characters<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            character: 0,
            count: 0,
            before: [0; 2],
        }
    }

    fn read(&mut self) -> Result<u32, Fault> {
        let count = self.count;
        let (mut value, mut groups) = (0_i64, 0);
        loop {
            let character = self.character;
            let Some(&byte) = self.text.get(character) else {
                return Err(format!(
                    "character {character}: the string ends inside count {count}"
                ));
            };
            if !(48..112).contains(&byte) {
                return Err(format!(
                    "character {character}: byte {byte:#04x} is not one of the 64 characters '0' to 'o' of compressed counts"
                ));
            }
            if groups == MAX_GROUPS {
                return Err(format!(
                    "character {character}: count {count} does not fit in 32 bits"
                ));
            }
            self.character += 1;
            let group = i64::from(byte - 48);
            value |= (group & 0x1f) << (5 * groups);
            groups += 1;
            if group & 0x20 != 0 {
                continue;
            }
            if group & 0x10 != 0 {
                value |= -1 << (5 * groups);
            }
            break;
        }
        if count > 2 {
            value += i64::from(self.before[0]);
        }
        let number = narrow(count, value)?;
        self.before = [self.before[1], number];
        self.count += 1;
        Ok(number)
    }
}

impl Iterator for Characters<'_> {
    type Item = Result<u32, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.character < self.text.len()).then(|| self.read())
    }
}
