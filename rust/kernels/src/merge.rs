//! The merging of masks into one label image. Of two masks with a common pixel, the earlier keeps it; losses are counted.

use std::collections::BTreeMap;

/// The number of pixels that one mask lost to an earlier one. Masks are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap {
    /// The mask that keeps the pixels.
    pub earlier: usize,
    /// The mask that loses them.
    pub later: usize,
    /// The number of these pixels.
    pub pixels: u64,
}

/// The losses of masks that were merged into a label image. Masks are counted from 0; mask `i` has label `i + 1`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merge {
    /// The overlaps, sorted by (earlier, later).
    pub overlaps: Vec<Overlap>,
    /// Masks without pixels, ascending. Their labels are absent.
    pub empty: Vec<usize>,
    /// Masks that lost all pixels to earlier masks, ascending. Their labels are absent too.
    pub hidden: Vec<usize>,
}

impl Merge {
    /// Sum up the pixels that each mask claimed and the pixels that it lost.
    pub(crate) fn new(claimed: &[u64], losses: Losses) -> Self {
        let mut kept = claimed.to_vec();
        let mut overlaps = Vec::with_capacity(losses.0.len());
        for ((earlier, later), pixels) in losses.0 {
            let (earlier, later) = (mask_of(earlier), mask_of(later));
            kept[later] -= pixels;
            overlaps.push(Overlap {
                earlier,
                later,
                pixels,
            });
        }
        let masks_where = |absent: &dyn Fn(usize) -> bool| {
            (0..claimed.len())
                .filter(|&mask| absent(mask))
                .collect::<Vec<_>>()
        };
        Self {
            overlaps,
            empty: masks_where(&|mask| claimed[mask] == 0),
            hidden: masks_where(&|mask| claimed[mask] > 0 && kept[mask] == 0),
        }
    }
}

/// The numbers of lost pixels, by the labels (earlier, later).
#[derive(Debug, Default)]
pub(crate) struct Losses(BTreeMap<(u32, u32), u64>);

impl Losses {
    /// Give a pixel to `label` unless an earlier label has it.
    pub(crate) fn claim(&mut self, pixel: &mut u32, label: u32) {
        if *pixel == 0 {
            *pixel = label;
        } else {
            *self.0.entry((*pixel, label)).or_default() += 1;
        }
    }

    /// Add the losses of another part of the image.
    pub(crate) fn add(mut self, other: Self) -> Self {
        for (pair, pixels) in other.0 {
            *self.0.entry(pair).or_default() += pixels;
        }
        self
    }
}

/// The label of a mask, by its place in the list.
pub(crate) fn label_of(mask: usize) -> u32 {
    u32::try_from(mask + 1).expect("2^32 masks do not fit in memory")
}

fn mask_of(label: u32) -> usize {
    label as usize - 1
}
