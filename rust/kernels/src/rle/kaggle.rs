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
    let runs = match parse_sound(text.as_bytes(), pixels) {
        Some(runs) => runs,
        None => parse_carefully(text, pixels)?,
    };
    check_disjoint(&runs)?;
    Ok(runs)
}

/// The runs of a string without faults; `None` if it may have one. It is faster without error messages.
fn parse_sound(text: &[u8], pixels: u64) -> Option<Vec<Span>> {
    let mut runs = Vec::with_capacity(text.len() / 8);
    let mut rest = text.trim_ascii_start();
    while !rest.is_empty() {
        let start = next_number(&mut rest)?;
        let length = next_number(&mut rest)?;
        if start == 0 || length == 0 || start > pixels || length > pixels - (start - 1) {
            return None;
        }
        let start = start - 1;
        runs.push(Span { start, length });
    }
    Some(runs)
}

/// Take a number that is too short to overflow, and the blanks after it.
fn next_number(text: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    let mut digits = 0;
    while let Some(digit) = text.get(digits).map(|byte| byte.wrapping_sub(b'0'))
        && digit < 10
    {
        number = 10 * number + u64::from(digit);
        digits += 1;
        if digits > 18 {
            return None;
        }
    }
    let rest = &text[digits..];
    let blanks = rest.iter().take_while(|byte| byte.is_ascii_whitespace());
    let blanks = blanks.count();
    if digits == 0 || (blanks == 0 && !rest.is_empty()) {
        return None;
    }
    *text = &rest[blanks..];
    Some(number)
}

fn parse_carefully(text: &str, pixels: u64) -> Result<Vec<Span>, Fault> {
    let mut runs = Vec::new();
    let mut numbers = text.split_ascii_whitespace();
    while let Some(start) = numbers.next() {
        let pair = runs.len();
        let start = number(text, start, pair, "start")?;
        let Some(length) = numbers.next() else {
            return Err(format!(
                "pair {pair}: start {start} has no length (the string holds an odd count of numbers)"
            ));
        };
        let length = number(text, length, pair, "length")?;
        // No sum overflows here, as start is at least 1.
        if start > pixels || length > pixels - (start - 1) {
            return Err(format!(
                "pair {pair}: start {start} and length {length} run past the last pixel of the image, {pixels}"
            ));
        }
        let start = start - 1;
        runs.push(Span { start, length });
    }
    Ok(runs)
}

/// The positive number in `word`, which is a part of `text`.
fn number(text: &str, word: &str, pair: usize, part: &str) -> Result<u64, Fault> {
    let fault = |problem| {
        let byte = word.as_ptr() as usize - text.as_ptr() as usize;
        let character = text[..byte].chars().count();
        let shown: String = word.chars().take(40).collect();
        Err(format!(
            "pair {pair}, character {character}: the {part} {shown:?} {problem}"
        ))
    };
    let digits = word.strip_prefix('-').unwrap_or(word);
    // `parse` alone would accept a plus sign.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return fault("is not a whole number");
    }
    match word.parse::<u64>() {
        Ok(value) if value > 0 => Ok(value),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => {
            fault("does not fit in 64 bits")
        }
        _ => fault("is not 1 or more"),
    }
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
