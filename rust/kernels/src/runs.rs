//! Runs of equal pixels in rows. They are found many pixels at a time, and work on runs is faster than work on pixels.

use std::ops::Range;

use ndarray::{ArrayView2, Axis, CowArray, Ix2};

/// The number of pixels that are compared with their neighbours at once. Each has one bit of a word.
pub(crate) const BLOCK: usize = u64::BITS as usize;

/// Adjacent pixels of one row that have something in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<T> {
    /// The first column.
    pub start: u32,
    /// The column after the last.
    pub end: u32,
    /// The value of the pixels, or the row of a mask that they lie in.
    pub value: T,
}

impl<T> Run<T> {
    /// The columns of the run.
    pub fn columns(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// The image itself if each of its rows lies in one piece, as those of a part of an image do; else a copy.
pub(crate) fn in_contiguous_rows<T: Clone>(image: ArrayView2<'_, T>) -> CowArray<'_, T, Ix2> {
    if image.ncols() <= 1 || image.strides()[1] == 1 {
        image.into()
    } else {
        image.as_standard_layout().into_owned().into()
    }
}

/// The pixels of a row of an image, each row of which lies in one piece.
pub(crate) fn row_of<T>(image: ArrayView2<'_, T>, row: usize) -> &[T] {
    let pixels = image.index_axis_move(Axis(0), row);
    pixels.to_slice().expect("a row lies in one piece")
}

/// The pixels of each row, as [`row_of`] gives them.
pub(crate) fn rows_of<T>(image: ArrayView2<'_, T>) -> impl Iterator<Item = &[T]> {
    (0..image.nrows()).map(move |row| row_of(image, row))
}

/// Append the runs of one row, background left out. The row must have fewer than 2^32 pixels.
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

/// Call `differs` with each place, ascending, at which two rows differ; the longer one is cut.
pub(crate) fn for_each_difference<T: Copy + PartialEq>(
    above: &[T],
    here: &[T],
    mut differs: impl FnMut(usize),
) {
    let (above_blocks, above_rest) = above.as_chunks::<BLOCK>();
    let (here_blocks, here_rest) = here.as_chunks::<BLOCK>();
    for (block, (above, here)) in above_blocks.iter().zip(here_blocks).enumerate() {
        for_each_bit(differing(above, here), |bit| differs(block * BLOCK + bit));
    }
    let rest = above_blocks.len() * BLOCK;
    for (offset, (above, here)) in above_rest.iter().zip(here_rest).enumerate() {
        if above != here {
            differs(rest + offset);
        }
    }
}

/// Call `run` with both values and the length of each stretch in which neither of two rows changes.
pub(crate) fn for_each_pair_of_runs<T: Copy + PartialEq>(
    one: &[T],
    other: &[T],
    mut run: impl FnMut(T, T, usize),
) {
    let length = one.len().min(other.len());
    let (one, other) = (&one[..length], &other[..length]);
    if length == 0 {
        return;
    }
    let mut start = 0;
    let mut end = |end: usize| {
        run(one[start], other[start], end - start);
        start = end;
    };
    let (ones, _) = one[..length - 1].as_chunks::<BLOCK>();
    let (ones_next, rest) = one[1..].as_chunks::<BLOCK>();
    let (others, _) = other[..length - 1].as_chunks::<BLOCK>();
    let (others_next, _) = other[1..].as_chunks::<BLOCK>();
    for block in 0..ones.len() {
        let changes = differing(&ones[block], &ones_next[block])
            | differing(&others[block], &others_next[block]);
        for_each_bit(changes, |bit| end(block * BLOCK + bit + 1));
    }
    for place in length - rest.len()..length {
        if one[place] != one[place - 1] || other[place] != other[place - 1] {
            end(place);
        }
    }
    end(length);
}

/// Call `set` with the place of each bit that is set, ascending.
fn for_each_bit(mut bits: u64, mut set: impl FnMut(usize)) {
    while bits != 0 {
        set(bits.trailing_zeros() as usize);
        bits &= bits - 1;
    }
}

/// One bit for each place; it is set where the two differ. The first place has the lowest bit.
#[inline(always)]
fn differing<T: Copy + PartialEq>(left: &[T; BLOCK], right: &[T; BLOCK]) -> u64 {
    // Most blocks do not differ at all. The fold has no early exit, so it compiles to a few vector instructions.
    let pairs = left.iter().zip(right);
    if !pairs.fold(false, |any, (left, right)| any | (left != right)) {
        return 0;
    }
    // A product with this number gathers eight bytes of 0 or 1 in the highest byte, the first in its lowest bit.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let differs: [u8; BLOCK] = std::array::from_fn(|place| u8::from(left[place] != right[place]));
    let (words, _) = differs.as_chunks::<8>();
    words.iter().rev().fold(0, |bits, &word| {
        bits << 8 | u64::from_le_bytes(word).wrapping_mul(GATHER) >> 56
    })
}
