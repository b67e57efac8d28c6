//! Watershed from markers, pixel for pixel as scikit-image floods.
//!
//! Pixels leave the queue by level, then by age. A pixel that leaves the queue gives its label to its free neighbours and
//! raises their level to its own. The order of markers of one level remains: scikit-image takes them in the order in which
//! they lie in its binary heap, so `Heap` arranges its items as that heap does. Once no two markers of one level have free
//! neighbours, every queue gives the same result, and `Buckets` are faster for few levels.
//! See Beucher and Meyer (1993), The morphological approach to segmentation: the watershed transformation.

mod level;
mod queue;

use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2, Axis, Slice};

use crate::error::{Error, check_shape};
use crate::interrupt;
use crate::labels::components::Connectivity;
use crate::runs::{Run, find_runs, rows_of};
pub use level::{Key, Level};
use queue::{Buckets, Heap, Waiting};

/// The label of pixels outside of the mask or the image. Pixels with a label are never flooded.
const CLOSED: u32 = 1;

/// Flood an image from its markers, and write to each pixel the label of the marker that reached it.
///
/// The result is that of `skimage.segmentation.watershed`, scikit-image 0.26, without compactness or lines. `labels` must be
/// all 0; pixels outside of the mask are not written.
///
/// # Errors
///
/// If shapes differ, the image is too large or a pixel in the mask is not a number.
pub fn watershed<L: Level>(
    image: ArrayView2<'_, L>,
    markers: ArrayView2<'_, u32>,
    mask: Option<ArrayView2<'_, bool>>,
    connectivity: Connectivity,
    labels: ArrayViewMut2<'_, u32>,
) -> Result<(), Error> {
    let others = [
        ("markers", markers.dim()),
        ("mask", mask.map_or(image.dim(), |mask| mask.dim())),
        ("labels", labels.dim()),
    ];
    for (name, shape) in others {
        check_shape(name, "the image's shape", image.dim(), shape)?;
    }
    let mut basin = Basin::new(image, markers, mask, connectivity)?;
    basin.flood(L::BUCKETS);
    basin.write(labels);
    Ok(())
}

/// The level and the label of a pixel, which are read together.
#[derive(Debug, Clone, Copy)]
struct Cell<K> {
    key: K,
    label: u32,
}

/// The image in a frame of closed pixels, so that every pixel in it has all its neighbours.
struct Basin<K> {
    cells: Vec<Cell<K>>,
    width: usize,
    /// Row and columns of the pixels in the mask, in raster order.
    open: Vec<(usize, Range<usize>)>,
    /// Pixels with an initial label, in raster order.
    markers: Vec<u32>,
    /// Offsets to the neighbours in the order of scikit-image: across edges, then across corners.
    neighbours: Vec<isize>,
    /// The age of the last pixel in the queue; markers have age 0.
    age: u32,
}

impl<K: Key> Basin<K> {
    fn new<L: Level<Key = K>>(
        image: ArrayView2<'_, L>,
        markers: ArrayView2<'_, u32>,
        mask: Option<ArrayView2<'_, bool>>,
        connectivity: Connectivity,
    ) -> Result<Self, Error> {
        let (rows, columns) = image.dim();
        let width = columns.saturating_add(2);
        let size = rows.saturating_add(2).saturating_mul(width);
        if u32::try_from(size).is_err() {
            return Err(Error::Data(format!(
                "image: expected less than 2^32 pixels with a frame of one pixel, got {rows} x {columns}"
            )));
        }
        let closed = Cell {
            key: K::default(),
            label: CLOSED,
        };
        let mut cells = vec![closed; size];
        let mut marked = Vec::new();
        let open = open_runs(mask, (rows, columns));
        for (row, run) in &open {
            let start = (row + 1) * width + 1;
            let part = Slice::from(run.clone());
            let levels = image.row(*row).slice_axis_move(Axis(0), part);
            let pixels = levels
                .into_iter()
                .zip(markers.row(*row).slice_axis_move(Axis(0), part));
            for (column, (level, &label)) in run.clone().zip(pixels) {
                let key = level.key().ok_or_else(|| {
                    Error::Data(format!(
                        "image: expected numbers, got not-a-number at row {row}, column {column}"
                    ))
                })?;
                cells[start + column] = Cell { key, label };
                if label != 0 {
                    marked.push((start + column) as u32);
                }
            }
        }
        let down = width as isize;
        let mut neighbours = vec![-down, -1, 1, down];
        if connectivity == Connectivity::Eight {
            neighbours.extend([-down - 1, -down + 1, down - 1, down + 1]);
        }
        Ok(Self {
            cells,
            width,
            open,
            markers: marked,
            neighbours,
            age: 0,
        })
    }

    fn flood(&mut self, buckets: Option<usize>) {
        let mut heap = Heap::new();
        for &pixel in &self.markers {
            heap.push(Waiting {
                order: self.cells[pixel as usize].key.with_age(0),
                pixel,
            });
        }
        let last_tie = self.last_tie();
        while let Some(taken) = heap.pop() {
            let level = K::of(taken.order);
            self.spread(taken.pixel, level, |pixel, level, age| {
                heap.push(Waiting {
                    order: level.with_age(age),
                    pixel,
                });
            });
            if let Some(buckets) = buckets
                && last_tie.is_none_or(|tie| tie < level)
            {
                return self.flood_by_buckets(heap, buckets);
            }
        }
    }

    /// Flood on from the pixels of a heap, once level and age alone determine the result.
    fn flood_by_buckets(&mut self, heap: Heap<K>, levels: usize) {
        let mut buckets = Buckets::new(levels, self.cells.len());
        let mut waiting = heap.items;
        waiting.sort_unstable_by_key(|waiting| waiting.order);
        for Waiting { order, pixel } in waiting {
            buckets.push(level_index(K::of(order)), pixel);
        }
        while let Some((pixel, level)) = buckets.pop() {
            // A pixel below the level of the flood waits at that level.
            self.spread(pixel, K::default(), |pixel, key, _| {
                buckets.push(level.max(level_index(key)), pixel);
            });
        }
    }

    /// Give the label of a pixel to its free neighbours and queue them at their own level, but at least at this one.
    fn spread(&mut self, pixel: u32, level: K, mut wait: impl FnMut(u32, K, u32)) {
        // Each pixel comes once; every 256th one checks.
        if pixel.is_multiple_of(256) {
            interrupt::check();
        }
        let label = self.cells[pixel as usize].label;
        for &step in &self.neighbours {
            let neighbour = pixel.wrapping_add(step as u32);
            let cell = &mut self.cells[neighbour as usize];
            if cell.label == 0 {
                cell.label = label;
                self.age += 1;
                wait(neighbour, cell.key.max(level), self.age);
            }
        }
    }

    /// The highest level that two markers with free neighbours share.
    fn last_tie(&self) -> Option<K> {
        let has_a_say = |pixel: u32| {
            let mut neighbours = self.neighbours.iter();
            neighbours.any(|&step| self.cells[pixel.wrapping_add(step as u32) as usize].label == 0)
        };
        let markers = self.markers.iter().filter(|&&marker| has_a_say(marker));
        let mut levels: Vec<K> = markers
            .map(|&marker| self.cells[marker as usize].key)
            .collect();
        levels.sort_unstable();
        let mut pairs = levels.windows(2).rev();
        pairs.find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }

    fn write(&self, mut labels: ArrayViewMut2<'_, u32>) {
        for (row, run) in &self.open {
            let start = (row + 1) * self.width + 1;
            let cells = &self.cells[start + run.start..start + run.end];
            let pixels = labels.row_mut(*row);
            let pixels = pixels.slice_axis_move(Axis(0), run.clone().into());
            for (label, cell) in pixels.into_iter().zip(cells) {
                *label = cell.label;
            }
        }
    }
}

/// Row and columns of the pixels in the mask, in raster order; without a mask, all rows.
fn open_runs(
    mask: Option<ArrayView2<'_, bool>>,
    (rows, columns): (usize, usize),
) -> Vec<(usize, Range<usize>)> {
    let Some(mask) = mask else {
        return (0..rows).map(|row| (row, 0..columns)).collect();
    };
    let mask = mask.as_standard_layout();
    let mut open = Vec::new();
    let mut runs = Vec::new();
    for (row, pixels) in rows_of(mask.view()).enumerate() {
        runs.clear();
        find_runs(pixels, &mut runs);
        open.extend(runs.iter().map(|run: &Run<bool>| (row, run.columns())));
    }
    open
}

fn level_index(key: impl Into<u64>) -> usize {
    key.into() as usize
}
