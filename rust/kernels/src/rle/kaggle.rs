//! The form of Kaggle: a string of `start length` pairs, with starts from 1.

use std::num::IntErrorKind;

use ndarray::{ArrayView2, ArrayViewMut2};

use super::instances::{Instances, Joined, Label};
use super::{Fault, Span, paint, parse_all};
use crate::Error;
use crate::merge::Merge;

/// Encode every instance of a label image, labels ascending.
pub fn labels_to_kaggle<T: Label>(labels: ArrayView2<'_, T>) -> Vec<(u32, String)> {
    Instances::new(labels).encoded(write)
}

/// Decode masks on an all-background image; mask `i` gets label `i + 1`, and an empty string is an empty mask.
///
/// # Errors
///
/// The first fault of the first faulty mask, by the place of the mask in the list.
pub fn kaggle_to_labels<Text: AsRef<str> + Sync>(
    masks: &[Text],
    labels: ArrayViewMut2<'_, u32>,
) -> Result<Merge, Error> {
    let pixels = labels.len() as u64;
    let length = |text: &Text| text.as_ref().len();
    let runs = parse_all(masks, length, |text| parse(text.as_ref(), pixels))?;
    Ok(paint(&runs, labels))
}

fn write(runs: Joined<'_>) -> String {
    let mut text = Vec::new();
    for run in runs {
        if !text.is_empty() {
            text.push(b' ');
        }
        write_number(&mut text, run.start + 1);
        text.push(b' ');
        write_number(&mut text, run.length);
    }
    String::from_utf8(text).expect("digits and blanks are text")
}

/// Append the digits of a number, faster than `write!`.
fn write_number(text: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    text.extend_from_slice(&digits[first..]);
}

pub(super) fn parse(text: &str, pixels: u64) -> Result<Vec<Span>, Fault> {
    let mut runs = Vec::with_capacity(text.len() / 8);
    let mut rest = text.trim_ascii_start();
    while !rest.is_empty() {
        let pair = runs.len();
        let start = next_number(text, &mut rest, pair, "start")?;
        if rest.is_empty() {
            return Err(format!(
                "pair {pair}: start {start} has no length (the string holds an odd count of numbers)"
            ));
        }
        let length = next_number(text, &mut rest, pair, "length")?;
        // No sum overflows here, as start is at least 1.
        if start > pixels || length > pixels - (start - 1) {
            return Err(format!(
                "pair {pair}: start {start} and length {length} run past the last pixel of the image, {pixels}"
            ));
        }
        let start = start - 1;
        runs.push(Span { start, length });
    }
    check_disjoint(&runs)?;
    Ok(runs)
}

/// Take a positive number and the blanks after it from `rest`, the end of `text`.
fn next_number(text: &str, rest: &mut &str, pair: usize, part: &str) -> Result<u64, Fault> {
    let end = rest.bytes().position(|byte| byte.is_ascii_whitespace());
    let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
    let parsed = word.parse::<u64>();
    // `parse` alone would accept a plus sign.
    if let Ok(value) = parsed
        && value > 0
        && !word.starts_with('+')
    {
        *rest = after.trim_ascii_start();
        return Ok(value);
    }
    let problem = match parsed {
        _ if !is_whole(word) => "is not a whole number",
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => "does not fit in 64 bits",
        _ => "is not 1 or more",
    };
    let character = text[..text.len() - rest.len()].chars().count();
    let shown: String = word.chars().take(40).collect();
    Err(format!(
        "pair {pair}, character {character}: the {part} {shown:?} {problem}"
    ))
}

/// Whether a word is a number without a plus sign.
fn is_whole(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Runs may come in any order, but no two may share a pixel.
fn check_disjoint(runs: &[Span]) -> Result<(), Fault> {
    if runs.is_sorted_by(|left, right| left.end() <= right.start) {
        return Ok(());
    }
    let mut order: Vec<usize> = (0..runs.len()).collect();
    order.sort_by_key(|&pair| runs[pair].start);
    for pairs in order.windows(2) {
        let (left, right) = (pairs[0], pairs[1]);
        if runs[left].end() > runs[right].start {
            return Err(format!(
                "pair {} overlaps pair {}: both claim pixel {} (column-major, from 1)",
                left.max(right),
                left.min(right),
                runs[right].start + 1
            ));
        }
    }
    Ok(())
}
