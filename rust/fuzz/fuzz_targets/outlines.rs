//! Outlines of any label image: filled outlines give back the image, and simplified outlines stay rings.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ndarray::Array2;
use nucleus_kernels::shape::contour::contours;
use nucleus_kernels::shape::simplify::simplify_ring;

fuzz_target!(|input: (u8, u8, &[u8])| {
    nucleus_fuzz::stay_on_this_thread();
    let (width, tolerance, pixels) = input;
    let width = usize::from(width % 32) + 1;
    let height = pixels.len() / width;
    // Few labels, so that they touch, enclose and pinch each other.
    let label = |&pixel: &u8| u32::from(pixel & 3);
    let pixels = pixels[..height * width].iter().map(label).collect();
    let labels = Array2::from_shape_vec((height, width), pixels).expect("cut to rows");

    let mut filled = Array2::<u32>::zeros((height, width));
    for outline in contours(labels.view()).expect("a small image") {
        for ring in outline
            .polygons
            .iter()
            .flat_map(|one| [&one.exterior].into_iter().chain(&one.holes))
        {
            for edge in ring.windows(2).filter(|edge| edge[0][0] == edge[1][0]) {
                let column = edge[0][0] as usize;
                let (from, to) = (edge[0][1].min(edge[1][1]), edge[0][1].max(edge[1][1]));
                for row in from as usize..to as usize {
                    // Even-odd rule: pixels to the right of an edge change between outside and inside.
                    (column..width).for_each(|column| filled[[row, column]] ^= outline.label);
                }
            }
            let simplified =
                simplify_ring(ring, f64::from(tolerance) / 32.0).expect("a simple ring");
            assert!(simplified.len() >= 4 && simplified.len() <= ring.len());
            assert_eq!(
                (simplified[0], simplified.last()),
                (ring[0], simplified.first())
            );
        }
    }
    assert_eq!(filled, labels);
});
