//! Laws of the kernel that simplifies rings: its result is that of an oracle that compares all edges.

mod common;
#[path = "common/quadratic.rs"]
mod quadratic;

use common::label_images;
use ndarray::Array2;
use nucleus_kernels::Error;
use nucleus_kernels::shape::contour::{Ring, Vertex, contours};
use nucleus_kernels::shape::simplify::simplify_ring;
use proptest::prelude::*;

fn rings(labels: &Array2<u32>) -> Vec<Ring> {
    let outlines = contours(labels.view()).unwrap();
    let polygons = outlines.into_iter().flat_map(|outline| outline.polygons);
    polygons
        .flat_map(|polygon| std::iter::once(polygon.exterior).chain(polygon.holes))
        .collect()
}

/// Closed rings of random vertices in a square of this side; nearly all cross themselves.
fn random_rings(side: i32) -> impl Strategy<Value = Ring> {
    let vertex = [-side..=side, -side..=side];
    prop::collection::vec(vertex, 3..60).prop_map(|mut ring| {
        ring.push(ring[0]);
        ring
    })
}

/// A band around a spiral with waves: simple, and its coarse forms cross themselves.
fn spiral(steps: usize, turns: f64, waves: f64) -> Ring {
    let at = |step: usize, shift: f64| -> Vertex {
        let part = step as f64 / steps as f64;
        let (sin, cos) = (std::f64::consts::TAU * turns * part).sin_cos();
        let radius = 40.0 * (1.0 + turns * part) + shift + 8.0 * (waves * part).sin();
        [(radius * cos).round() as i32, (radius * sin).round() as i32]
    };
    let inner = (0..steps).map(|step| at(step, 0.0));
    let outer = (0..steps).rev().map(|step| at(step, 15.0));
    let mut ring: Ring = inner.chain(outer).collect();
    ring.dedup();
    ring.push(ring[0]);
    ring
}

proptest! {
    #[test]
    fn outlines_are_simplified_as_by_the_oracle(labels in label_images(), tolerance in 0.0..40.0) {
        for ring in rings(&labels) {
            prop_assert_eq!(simplify_ring(&ring, tolerance), quadratic::simplify_ring(&ring, tolerance));
        }
    }

    #[test]
    fn bands_are_simplified_as_by_the_oracle(
        steps in 20_usize..400, turns in 0.1..4.0, waves in 0.0..300.0, tolerance in 0.0..60.0,
    ) {
        let ring = spiral(steps, turns, waves);
        prop_assert_eq!(simplify_ring(&ring, tolerance), quadratic::simplify_ring(&ring, tolerance));
    }

    #[test]
    fn any_ring_is_simplified_or_refused_as_by_the_oracle(
        ring in prop_oneof![random_rings(5), random_rings(100), random_rings(i32::MAX)],
        tolerance in prop_oneof![Just(0.0), 0.0..8.0, 0.0..1e9],
    ) {
        prop_assert_eq!(simplify_ring(&ring, tolerance), quadratic::simplify_ring(&ring, tolerance));
    }
}

#[test]
fn the_largest_coordinates_do_not_overflow() {
    let (low, high) = (i32::MIN, i32::MAX);
    let ring = [
        [low, low],
        [high, low],
        [high, high],
        [low, high],
        [low, low],
    ];
    assert_eq!(simplify_ring(&ring, 1.0).unwrap(), ring);
    let crossed = [
        [low, low],
        [high, high],
        [high, low],
        [low, high],
        [low, low],
    ];
    assert_eq!(
        simplify_ring(&crossed, 0.0),
        Err(Error::Data(
            "ring: expected no edge to cross or touch another, but those from vertices 0 and 2 do"
                .into()
        ))
    );
}

/// Run with `--release -- --ignored --nocapture`.
#[test]
#[ignore = "prints timings, and the oracle takes long"]
fn timings() {
    for vertices in [4_000, 8_000, 16_000, 64_000] {
        let comb: Ring = comb(vertices);
        for (name, ring) in [("comb", comb), ("spiral", spiral(vertices / 2, 40.0, 9e3))] {
            for tolerance in [0.0, 1.0, 20.0] {
                let started = std::time::Instant::now();
                let found = simplify_ring(&ring, tolerance);
                let ours = started.elapsed();
                let theirs = (vertices <= 16_000).then(|| {
                    let started = std::time::Instant::now();
                    assert_eq!(found, quadratic::simplify_ring(&ring, tolerance));
                    started.elapsed()
                });
                let left = found.map(|ring| ring.len());
                println!(
                    "{name} {} -> {left:?}, tolerance {tolerance}: {ours:?}, oracle {theirs:?}",
                    ring.len()
                );
            }
        }
    }
}

/// Horizontal teeth on top of each other, so that all edges share columns.
fn comb(vertices: usize) -> Ring {
    let teeth = vertices as i32 / 4;
    let mut ring: Ring = (0..teeth)
        .flat_map(|tooth| {
            [
                [0, 4 * tooth],
                [90, 4 * tooth],
                [90, 4 * tooth + 2],
                [0, 4 * tooth + 2],
            ]
        })
        .collect();
    ring.extend([[-9, 4 * teeth], [-9, 0], [0, 0]]);
    ring
}
