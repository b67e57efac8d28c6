//! The peaks of the centre heatmap, and which of them yield to a higher one.

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::STRETCH;
use super::centre::Centre;
use super::config::{GroupConfig, whole};
use super::grid::Grid;
use crate::interrupt;

/// The denominator of the share of its heat that may be missing on the line to a higher centre.
const DIP_UNIT: f64 = 65536.0;

/// All peaks in raster order, before any yields.
pub(super) fn candidates(heat: ArrayView2<'_, u32>, config: &GroupConfig) -> Vec<Centre> {
    let (rows, columns) = heat.dim();
    let plane = heat.to_slice().expect("heat is laid out row by row");
    let least = config.least_centre();
    (0..rows)
        .into_par_iter()
        .flat_map_iter(|row| {
            interrupt::check();
            candidates_of_row(plane, columns, row, least, config.window)
        })
        .collect()
}

fn candidates_of_row(
    plane: &[u32],
    columns: usize,
    row: usize,
    least: u32,
    window: usize,
) -> Vec<Centre> {
    let mut found = Vec::new();
    let line = &plane[row * columns..][..columns];
    for (start, heats) in (0..).step_by(STRETCH).zip(line.chunks(STRETCH)) {
        // The fold has no early exit, so it compiles to a few vector instructions.
        if heats.iter().fold(0, |most, &heat| most.max(heat)) < least {
            continue;
        }
        for (column, &heat) in (start..).zip(heats) {
            let centre = Centre { row, column, heat };
            if heat >= least && ranks_first(plane, columns, &centre, window) {
                found.push(centre);
            }
        }
    }
    found
}

/// Whether every earlier pixel of the window has less heat and no later pixel has more. The nearest rows come first.
fn ranks_first(plane: &[u32], columns: usize, centre: &Centre, window: usize) -> bool {
    let Centre { row, column, heat } = *centre;
    let (left, right) = (
        column.saturating_sub(window),
        (column + window + 1).min(columns),
    );
    let line = |row: usize| &plane[row * columns..][..columns];
    let colder = |values: &[u32]| values.iter().rev().all(|&value| value < heat);
    let no_hotter = |values: &[u32]| values.iter().all(|&value| value <= heat);
    if !colder(&line(row)[left..column]) || !no_hotter(&line(row)[column + 1..right]) {
        return false;
    }
    let last = plane.len() / columns - 1;
    (1..=window).all(|distance| {
        (row < distance || colder(&line(row - distance)[left..right]))
            && (row + distance > last || no_hotter(&line(row + distance)[left..right]))
    })
}

/// The candidates that yield to no other candidate, in raster order.
pub(super) fn keep(
    heat: ArrayView2<'_, u32>,
    candidates: &[Centre],
    config: &GroupConfig,
) -> Vec<Centre> {
    let grid = Grid::new(candidates, heat.dim(), whole(config.merge_distance));
    let within = (config.merge_distance * config.merge_distance) as i64;
    let undipped = ((1.0 - config.merge_dip) * DIP_UNIT).round() as u64;
    candidates
        .par_iter()
        .filter(|centre| {
            interrupt::check();
            let least = u64::from(centre.heat) * undipped;
            let holds = |row: usize, column: usize| {
                u64::from(heat[[row, column]]) * DIP_UNIT as u64 >= least
            };
            !grid
                .near(centre.row as i64, centre.column as i64)
                .iter()
                .map(|&index| &candidates[index as usize])
                .any(|other| {
                    other.rank() < centre.rank()
                        && squared_distance(centre, other) <= within
                        && line_holds(centre, other, holds)
                })
        })
        .copied()
        .collect()
}

fn squared_distance(one: &Centre, other: &Centre) -> i64 {
    let rows = one.row as i64 - other.row as i64;
    let columns = one.column as i64 - other.column as i64;
    rows * rows + columns * columns
}

/// Whether `holds` is true on every pixel of the Bresenham line between two centres. The line depends on its direction.
fn line_holds(from: &Centre, to: &Centre, holds: impl Fn(usize, usize) -> bool) -> bool {
    let rows = to.row.abs_diff(from.row);
    let columns = to.column.abs_diff(from.column);
    if rows > columns {
        return line_along((from.row, to.row), (from.column, to.column), holds);
    }
    line_along(
        (from.column, to.column),
        (from.row, to.row),
        |column, row| holds(row, column),
    )
}

/// Follow Bresenham's line along the axis on which its ends are further apart.
fn line_along(
    (start, end): (usize, usize),
    (mut other, other_end): (usize, usize),
    holds: impl Fn(usize, usize) -> bool,
) -> bool {
    let long = end.abs_diff(start) as i64;
    let short = other_end.abs_diff(other) as i64;
    let towards = |from: usize, forwards: bool| if forwards { from + 1 } else { from - 1 };
    let mut place = start;
    let mut error = 2 * short - long;
    while place != end {
        if !holds(place, other) {
            return false;
        }
        if error >= 0 && other != other_end {
            other = towards(other, other_end > other);
            error -= 2 * long;
        }
        place = towards(place, end > start);
        error += 2 * short;
    }
    holds(end, other_end)
}
