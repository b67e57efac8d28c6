//! What label images have in common: long runs of equal labels, and labels that mostly count from 1.

use rustc_hash::FxHashMap;

/// Pixels that are compared at once: a vector register or two.
const BLOCK: usize = 16;

/// Labels below this are always looked up by position.
const ALWAYS_DENSE: usize = 1 << 16;

/// One value for each label, the default before it is set: small labels by position, large ones by hash.
pub(crate) struct ByLabel<V> {
    dense: Vec<V>,
    dense_end: usize,
    sparse: FxHashMap<u32, V>,
}

impl<V: Copy + Default> ByLabel<V> {
    /// For an image of so many pixels, which bounds what is kept by position.
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

/// Write `map` of each pixel's label, asked for once a run of equal labels; background stays background.
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
    let (blocks, rest) = labels.as_chunks::<BLOCK>();
    let (mapped_blocks, mapped_rest) = mapped.as_chunks_mut::<BLOCK>();
    for (labels, mapped) in blocks.iter().zip(mapped_blocks) {
        map_pixels(labels, mapped);
    }
    map_pixels(rest, mapped_rest);
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
    let (blocks, rest) = labels.as_chunks::<BLOCK>();
    for block in blocks {
        count(block);
    }
    count(rest);
    if label != 0 {
        run(label, length);
    }
}

/// Without an early end, so that it compiles to a few vector instructions.
#[inline(always)]
fn all_are(labels: &[u32], label: u32) -> bool {
    labels
        .iter()
        .fold(0, |differing, next| differing | (next ^ label))
        == 0
}
