//! Rows of pixels as runs: what is quick to find, many pixels at a time, and quicker to work on than pixels.

use std::ops::Range;

/// Pixels that are compared with their neighbours at a time: one bit of a word each.
pub(crate) const BLOCK: usize = u64::BITS as usize;

/// Pixels of one row and one value, other than background.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<T> {
    /// Its first column.
    pub start: u32,
    /// The column after its last.
    pub end: u32,
    /// What its pixels are.
    pub value: T,
}

impl<T> Run<T> {
    /// Its columns.
    pub fn columns(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Append the runs of one row, which must have fewer than 2^32 pixels.
pub(crate) fn find_runs<T: Copy + PartialEq + Default>(row: &[T], runs: &mut Vec<Run<T>>) {
    let background = T::default();
    let Some(&first) = row.first() else {
        return;
    };
    let (mut start, mut value) = (0, first);
    let mut change = |end: usize| {
        if value != background {
            runs.push(Run {
                start: start as u32,
                end: end as u32,
                value,
            });
        }
        if let Some(&next) = row.get(end) {
            (start, value) = (end, next);
        }
    };
    for_each_difference(&row[..row.len() - 1], &row[1..], |place| change(place + 1));
    change(row.len());
}

/// Call `differs` with each place that both rows have and where they differ, ascending.
pub(crate) fn for_each_difference<T: PartialEq>(
    above: &[T],
    here: &[T],
    mut differs: impl FnMut(usize),
) {
    let (above_blocks, above_rest) = above.as_chunks::<BLOCK>();
    let (here_blocks, here_rest) = here.as_chunks::<BLOCK>();
    for (block, (above, here)) in above_blocks.iter().zip(here_blocks).enumerate() {
        let mut differences = differing(above, here);
        while differences != 0 {
            differs(block * BLOCK + differences.trailing_zeros() as usize);
            differences &= differences - 1;
        }
    }
    let rest = above_blocks.len() * BLOCK;
    for (offset, (above, here)) in above_rest.iter().zip(here_rest).enumerate() {
        if above != here {
            differs(rest + offset);
        }
    }
}

/// One bit for each place where the two differ, the first place in the lowest bit.
fn differing<T: PartialEq>(left: &[T; BLOCK], right: &[T; BLOCK]) -> u64 {
    // Multiplying eight bytes of 0 or 1 by this gathers them in the highest byte, the first in its lowest bit.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let differs: [u8; BLOCK] = std::array::from_fn(|place| u8::from(left[place] != right[place]));
    let (words, _) = differs.as_chunks::<8>();
    words.iter().rev().fold(0, |bits, &word| {
        bits << 8 | u64::from_le_bytes(word).wrapping_mul(GATHER) >> 56
    })
}
