//! Laws of grouping: it inverts the targets, blocks agree with the whole, threads change nothing, no input panics.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::same_at_any_thread_count;
use ndarray::{Array2, Array3, s};
use nucleus_kernels::Error;
use nucleus_kernels::group::{
    GroupConfig, Grouped, MEASUREMENTS, Measurements, QualityScore, TERMS, group,
};
use proptest::prelude::*;

const SETTINGS: GroupConfig = GroupConfig {
    foreground_threshold: 0.5,
    centre_threshold: 0.5,
    centre_sigma: 0.0,
    window: 2,
    merge_distance: 0.0,
    merge_dip: 0.0,
    assignment_radius: 2.0,
    max_offset: 64,
    min_area: 0,
    min_score: 0.0,
    min_peak: 0.0,
    quality: None,
    min_quality: 0.0,
};

/// The output of a perfect network: full heat at the pixel nearest the centroid of a nucleus, less elsewhere.
fn targets(labels: &Array2<u32>) -> Array3<u8> {
    let mut pixels: BTreeMap<u32, Vec<(usize, usize)>> = BTreeMap::new();
    for (pixel, &label) in labels.indexed_iter().filter(|(_, label)| **label != 0) {
        pixels.entry(label).or_default().push(pixel);
    }
    let mut maps = Array3::zeros((labels.nrows(), labels.ncols(), 4));
    maps.slice_mut(s![.., .., 2..]).fill(128);
    for nucleus in pixels.values() {
        let centre = centre(nucleus);
        for &(row, column) in nucleus {
            let offset = [
                centre.0 as i64 - row as i64,
                centre.1 as i64 - column as i64,
            ];
            let squared = (offset[0] * offset[0] + offset[1] * offset[1]) as f64;
            let heat = if squared == 0.0 {
                255
            } else {
                (254.0 * (-squared / 32.0).exp()) as u8
            };
            let byte = |offset: i64| (128 + 2 * offset) as u8;
            let values = [255, heat, byte(offset[0]), byte(offset[1])];
            (0..4).for_each(|channel| maps[[row, column, channel]] = values[channel]);
        }
    }
    maps
}

fn centre(pixels: &[(usize, usize)]) -> (usize, usize) {
    let count = pixels.len() as f64;
    let row = pixels.iter().map(|pixel| pixel.0 as f64).sum::<f64>() / count;
    let column = pixels.iter().map(|pixel| pixel.1 as f64).sum::<f64>() / count;
    let squared =
        |pixel: &(usize, usize)| (pixel.0 as f64 - row).powi(2) + (pixel.1 as f64 - column).powi(2);
    *pixels
        .iter()
        .min_by(|one, other| squared(one).total_cmp(&squared(other)))
        .unwrap()
}

/// Touching rectangles of a grid with random lines, some of them missing. All are solid, and their centres lie apart.
fn rectangles() -> impl Strategy<Value = Array2<u32>> {
    let sides = || proptest::collection::vec(4_usize..25, 1..6);
    (sides(), sides(), any::<u64>()).prop_map(|(heights, widths, missing)| {
        let lines = |sides: &[usize]| -> Vec<usize> {
            sides
                .iter()
                .enumerate()
                .flat_map(|(index, &side)| vec![index; side])
                .collect()
        };
        let (rows, columns) = (lines(&heights), lines(&widths));
        Array2::from_shape_fn((rows.len(), columns.len()), |(row, column)| {
            let cell = (rows[row] * widths.len() + columns[column]) as u32;
            if missing >> cell & 1 == 1 {
                0
            } else {
                cell + 1
            }
        })
    })
}

fn renumbered(labels: &Array2<u32>) -> Array2<u32> {
    let mut numbers = BTreeMap::from([(0, 0)]);
    for &label in labels {
        let next = numbers.len() as u32;
        numbers.entry(label).or_insert(next);
    }
    labels.mapv(|label| numbers[&label])
}

fn random_maps() -> impl Strategy<Value = Array3<u8>> {
    (1_usize..24, 1_usize..24, 1_u8..=128).prop_flat_map(|(rows, columns, spread)| {
        let offset = || 128 - spread..=127 + spread;
        let pixel = (
            prop_oneof![4 => Just(255), 1 => 0_u8..255],
            0_u8..4,
            offset(),
            offset(),
        );
        proptest::collection::vec(pixel, rows * columns).prop_map(move |pixels| {
            let bytes = pixels
                .iter()
                .flat_map(|&(foreground, heat, row, column)| [foreground, heat * 85, row, column]);
            Array3::from_shape_vec((rows, columns, 4), bytes.collect()).unwrap()
        })
    })
}

fn random_configs() -> impl Strategy<Value = GroupConfig> {
    let part = || 0.0..=1.0;
    let thresholds = (part(), part(), part(), 0_u64..5, part(), part());
    let qualities = (proptest::option::of(random_scores()), part());
    let distances = (
        prop_oneof![Just(0.0), 0.0..3.0],
        1_usize..5,
        0.0..10.0,
        0.0..4.0,
        0_usize..6,
    );
    (thresholds, distances, qualities).prop_map(
        |(thresholds, distances, (quality, min_quality))| GroupConfig {
            foreground_threshold: thresholds.0,
            centre_threshold: thresholds.1,
            merge_dip: thresholds.2,
            min_area: thresholds.3,
            min_score: thresholds.4,
            min_peak: thresholds.5,
            centre_sigma: distances.0,
            window: distances.1,
            merge_distance: distances.2,
            assignment_radius: distances.3,
            max_offset: distances.4,
            quality,
            min_quality,
        },
    )
}

fn random_scores() -> impl Strategy<Value = QualityScore> {
    let standard = [(); MEASUREMENTS].map(|()| (0.0..1.0, 0.01..1.0));
    let weights = proptest::collection::vec(-1.0..1.0, TERMS);
    (standard, weights).prop_map(|(standard, weights)| QualityScore {
        mean: standard.map(|(mean, _)| mean),
        spread: standard.map(|(_, spread)| spread),
        weights: weights.try_into().unwrap(),
    })
}

/// The properties of one nucleus: its score, peak, quality, measurements and pixels.
type Decided = (
    f32,
    f32,
    Option<f32>,
    Measurements,
    BTreeSet<(usize, usize)>,
);

/// The nuclei of a block by the places of their centres. The first pixel of the block lies at the corner.
fn keyed(grouped: &Grouped, corner: [usize; 2]) -> BTreeMap<[usize; 2], Decided> {
    let places = |label: u32| {
        let pixels = grouped
            .labels
            .indexed_iter()
            .filter(move |(_, found)| **found == label);
        pixels
            .map(|((row, column), _)| (row + corner[0], column + corner[1]))
            .collect()
    };
    (0..grouped.centres.len())
        .map(|index| {
            let [row, column] = grouped.centres[index];
            let decided = (
                grouped.scores[index],
                grouped.peaks[index],
                grouped.qualities.as_ref().map(|all| all[index]),
                grouped.measurements[index],
                places(index as u32 + 1),
            );
            ([row + corner[0], column + corner[1]], decided)
        })
        .collect()
}

proptest! {
    #[test]
    fn grouping_inverts_the_targets(labels in rectangles()) {
        let found = group(targets(&labels).view(), &SETTINGS).unwrap();
        prop_assert_eq!(found.labels, renumbered(&labels));
        prop_assert!(found.scores.iter().chain(&found.peaks).all(|&value| value == 1.0));
    }

    #[test]
    fn threads_change_nothing(maps in random_maps(), config in random_configs()) {
        same_at_any_thread_count(|| group(maps.view(), &config)).unwrap();
    }

    #[test]
    fn numbers_follow_the_first_pixels(maps in random_maps(), config in random_configs()) {
        let found = group(maps.view(), &config).unwrap();
        prop_assert_eq!(&renumbered(&found.labels), &found.labels);
        prop_assert_eq!(found.labels.iter().max().map_or(0, |&most| most as usize), found.centres.len());
    }

    #[test]
    fn any_bytes_and_any_config_group_or_are_refused(
        maps in random_maps(),
        numbers in proptest::collection::vec(any::<f64>(), 9),
        [window, max_offset] in any::<[usize; 2]>(),
    ) {
        let config = GroupConfig {
            foreground_threshold: numbers[0],
            centre_threshold: numbers[1],
            centre_sigma: numbers[2],
            merge_distance: numbers[3],
            merge_dip: numbers[4],
            assignment_radius: numbers[5],
            min_score: numbers[6],
            min_peak: numbers[7],
            window,
            max_offset,
            min_area: 0,
            quality: None,
            min_quality: numbers[8],
        };
        let refused = matches!(group(maps.view(), &config), Err(Error::Setting(_)));
        prop_assert_eq!(refused, config.validate().is_err());
    }
}

/// The measurements of a nucleus by their definitions, pixel by pixel.
fn measured(
    maps: &Array3<u8>,
    found: &Grouped,
    index: usize,
    config: &GroupConfig,
) -> Measurements {
    let (rows, columns, _) = maps.dim();
    let label = index as u32 + 1;
    let part = |byte: u8| f64::from(byte) / 255.0;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let [
        mut foreground,
        mut heat,
        mut squared,
        mut inside,
        mut outside,
    ] = [(); 5].map(|()| Vec::new());
    for ((row, column), _) in found.labels.indexed_iter().filter(|(_, it)| **it == label) {
        let value = |channel| maps[[row, column, channel]];
        foreground.push(part(value(0)));
        heat.push(part(value(1)));
        if part(value(0)) >= config.foreground_threshold - 1e-9 {
            let clip = config.max_offset as f64;
            let offset = |byte: u8| ((f64::from(byte) - 128.0) / 2.0).clamp(-clip, clip);
            let down = row as f64 + offset(value(2)) - found.centres[index][0] as f64;
            let right = column as f64 + offset(value(3)) - found.centres[index][1] as f64;
            squared.push(down * down + right * right);
        }
        for (down, right) in [(0, 1), (1, 0), (0, -1), (-1, 0)] {
            let beside = (
                row.checked_add_signed(down),
                column.checked_add_signed(right),
            );
            if let (Some(near), Some(next)) = beside
                && near < rows
                && next < columns
                && found.labels[[near, next]] != label
            {
                inside.push(part(value(0)));
                outside.push(part(maps[[near, next, 0]]));
            }
        }
    }
    let peak = f64::from(found.peaks[index]);
    if inside.is_empty() {
        inside.push(mean(&foreground));
    }
    [
        mean(&foreground),
        peak,
        mean(&heat),
        mean(&squared).sqrt(),
        mean(&inside),
        mean(&outside),
    ]
}

proptest! {
    #[test]
    fn measurements_follow_their_definitions(maps in random_maps(), config in random_configs()) {
        let found = group(maps.view(), &config).unwrap();
        for (index, got) in found.measurements.iter().enumerate() {
            for (got, expected) in got.iter().zip(measured(&maps, &found, index, &config)) {
                prop_assert!((got - expected).abs() < 1e-6, "{got} {expected}");
            }
        }
    }

    #[test]
    fn nuclei_of_low_quality_are_dropped_and_the_others_stay_as_they_are(
        maps in random_maps(),
        config in random_configs(),
        score in random_scores(),
    ) {
        let least = config.min_quality as f32;
        let all = group(maps.view(), &GroupConfig { quality: Some(score), min_quality: 0.0, ..config }).unwrap();
        let good = group(maps.view(), &GroupConfig { quality: Some(score), ..config }).unwrap();
        let kept = |decided: BTreeMap<[usize; 2], Decided>| -> BTreeMap<[usize; 2], Decided> {
            decided.into_iter().filter(|(_, nucleus)| nucleus.2.unwrap() >= least).collect()
        };
        prop_assert_eq!(keyed(&good, [0, 0]), kept(keyed(&all, [0, 0])));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_block_with_its_margin_decides_its_nuclei_as_the_whole(
        tile in random_maps(),
        config in random_configs(),
        [top, left, height, width] in [0_usize..90, 0_usize..90, 1_usize..30, 1_usize..30],
    ) {
        let maps = Array3::from_shape_fn((120, 110, 4), |(row, column, channel)| {
            tile[[row % tile.dim().0, column % tile.dim().1, channel]]
        });
        let margin = config.margin();
        let [bottom, right] = [top + height, left + width];
        let corner = [top.saturating_sub(margin), left.saturating_sub(margin)];
        let block = maps.slice(s![corner[0]..(bottom + margin).min(120), corner[1]..(right + margin).min(110), ..]);
        let core = |decided: BTreeMap<[usize; 2], Decided>| -> BTreeMap<[usize; 2], Decided> {
            let inside = |key: &[usize; 2]| (top..bottom).contains(&key[0]) && (left..right).contains(&key[1]);
            decided.into_iter().filter(|(key, _)| inside(key)).collect()
        };
        let alone = core(keyed(&group(block, &config).unwrap(), corner));
        let whole = core(keyed(&group(maps.view(), &config).unwrap(), [0, 0]));
        prop_assert_eq!(alone, whole);
    }
}

#[test]
fn images_without_pixels_have_no_nuclei() {
    for shape in [(0, 0), (0, 5), (5, 0)] {
        let found = group(Array3::zeros((shape.0, shape.1, 4)).view(), &SETTINGS).unwrap();
        assert_eq!((found.labels.dim(), found.centres.len()), (shape, 0));
    }
}

#[test]
fn maps_without_four_channels_are_refused() {
    let error = group(Array3::zeros((2, 2, 3)).view(), &SETTINGS).unwrap_err();
    assert!(error.to_string().ends_with("column offset), got 3"));
}

#[test]
fn maps_of_more_pixels_than_can_be_numbered_are_refused() {
    let byte = ndarray::arr0(0_u8);
    let maps = byte.broadcast((1 << 16, 1 << 16, 4)).unwrap();
    let message = group(maps, &SETTINGS).unwrap_err().to_string();
    assert!(message.contains("got 65536 x 65536"), "{message}");
}

#[test]
fn a_setting_out_of_range_is_named_with_what_it_may_be() {
    let error = GroupConfig {
        centre_sigma: f64::NAN,
        ..SETTINGS
    }
    .validate()
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "centre_sigma: expected a number from 0 to 16, got NaN"
    );
    let error = GroupConfig {
        window: 0,
        ..SETTINGS
    }
    .validate()
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "window: expected an integer from 1 to 128, got 0"
    );
}
