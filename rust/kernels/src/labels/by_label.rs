//! Helpers for label images, which have long runs of equal labels and labels that mostly count from 1.

use rustc_hash::FxHashMap;

use crate::interrupt;

/// The number of pixels that are compared at once; they fill one or two vector registers.
const BLOCK: usize = 16;

/// The number of pixels between two checks for interrupts.
const PART: usize = 1 << 16;

/// Smaller labels are always looked up by position.
const ALWAYS_DENSE: usize = 1 << 16;

/// One value for each label, initially the default. Small labels are looked up by position, large ones by hash.
pub(crate) struct ByLabel<V> {
    dense: Vec<V>,
    dense_end: usize,
    sparse: FxHashMap<u32, V>,
}

impl<V: Copy + Default> ByLabel<V> {
    /// A table for an image of this many pixels. The number of pixels bounds the labels that are looked up by position.
    pub(crate) fn new(pixels: usize) -> Self {
        Self {
            dense: Vec::new(),
            dense_end: pixels.max(ALWAYS_DENSE),
            sparse: FxHashMap::default(),
        }
    }

    pub(crate) fn get(&self, label: u32) -> V {
        let index = label as usize;
        if index < self.dense_end {
            self.dense.get(index).copied().unwrap_or_default()
        } else {
            self.sparse.get(&label).copied().unwrap_or_default()
        }
    }

    pub(crate) fn slot(&mut self, label: u32) -> &mut V {
        let index = label as usize;
        if index >= self.dense_end {
            return self.sparse.entry(label).or_default();
        }
        if index >= self.dense.len() {
            let length = (index + 1).next_power_of_two().min(self.dense_end);
            self.dense.resize(length, V::default());
        }
        &mut self.dense[index]
    }
}

/// Write `map(label)` for each pixel; `map` is called once per run of equal labels. Background stays background.
pub(crate) fn map_runs(labels: &[u32], mapped: &mut [u32], mut map: impl FnMut(u32) -> u32) {
    let (mut label, mut value) = (0, 0);
    let mut map_pixels = |labels: &[u32], mapped: &mut [u32]| {
        if all_are(labels, label) {
            mapped.fill(value);
            return;
        }
        for (&next, mapped) in labels.iter().zip(mapped) {
            if next != label {
                label = next;
                value = if next == 0 { 0 } else { map(next) };
            }
            *mapped = value;
        }
    };
    for (labels, mapped) in labels.chunks(PART).zip(mapped.chunks_mut(PART)) {
        interrupt::check();
        let (blocks, rest) = labels.as_chunks::<BLOCK>();
        let (mapped_blocks, mapped_rest) = mapped.as_chunks_mut::<BLOCK>();
        for (labels, mapped) in blocks.iter().zip(mapped_blocks) {
            map_pixels(labels, mapped);
        }
        map_pixels(rest, mapped_rest);
    }
}

/// Call `run` with the label and the length of each run of equal labels, background left out.
pub(crate) fn for_each_run(labels: &[u32], mut run: impl FnMut(u32, usize)) {
    let (mut label, mut length) = (0, 0);
    let mut count = |pixels: &[u32]| {
        if all_are(pixels, label) {
            length += pixels.len();
            return;
        }
        for &next in pixels {
            if next != label {
                if label != 0 {
                    run(label, length);
                }
                (label, length) = (next, 0);
            }
            length += 1;
        }
    };
    for part in labels.chunks(PART) {
        interrupt::check();
        let (blocks, rest) = part.as_chunks::<BLOCK>();
        blocks.iter().for_each(|block| count(block));
        count(rest);
    }
    if label != 0 {
        run(label, length);
    }
}

/// Whether all labels equal one. The fold has no early exit, so it compiles to a few vector instructions.
#[inline(always)]
fn all_are(labels: &[u32], label: u32) -> bool {
    labels
        .iter()
        .fold(0, |differing, next| differing | (next ^ label))
        == 0
}
