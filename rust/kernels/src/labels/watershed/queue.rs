//! The queues of a watershed.

use super::Key;

/// A pixel in the queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting<O> {
    pub(super) order: O,
    pub(super) pixel: u32,
}

/// A binary heap, least item first. It leaves items of equal order where the heap of scikit-image leaves them.
pub(super) struct Heap<K: Key> {
    pub(super) items: Vec<Waiting<K::Order>>,
}

impl<K: Key> Heap<K> {
    pub(super) fn new() -> Self {
        Self { items: Vec::new() }
    }

    /// Append an item and let it rise while its parent is greater.
    pub(super) fn push(&mut self, item: Waiting<K::Order>) {
        let mut place = self.items.len();
        self.items.push(item);
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.items[parent].order <= item.order {
                break;
            }
            self.items[place] = self.items[parent];
            place = parent;
        }
        self.items[place] = item;
    }

    /// Take the first item. By definition the last item sinks from the first place along the lesser child, of equal children
    /// the left one. As it mostly sinks far, it is put at the bottom instead and rises to the same place.
    pub(super) fn pop(&mut self) -> Option<Waiting<K::Order>> {
        let last = self.items.pop()?;
        let Some(&first) = self.items.first() else {
            return Some(last);
        };
        let items = self.items.as_mut_slice();
        let mut place = 0;
        while 2 * place + 2 < items.len() {
            let left = 2 * place + 1;
            let child = left + usize::from(items[left + 1].order < items[left].order);
            items[place] = items[child];
            place = child;
        }
        if 2 * place + 1 < items.len() {
            items[place] = items[2 * place + 1];
            place = 2 * place + 1;
        }
        while place > 0 {
            let parent = (place - 1) / 2;
            if items[parent].order < last.order {
                break;
            }
            items[place] = items[parent];
            place = parent;
        }
        items[place] = last;
        Some(first)
    }
}

/// A queue for each level. Levels never fall, so the search for the lowest one only goes up. Each pixel links to the next
/// pixel of its level. Pixel 0 lies in the frame and never waits, so 0 stands for no pixel.
pub(super) struct Buckets {
    first: Vec<u32>,
    last: Vec<u32>,
    next: Vec<u32>,
    level: usize,
}

impl Buckets {
    pub(super) fn new(levels: usize, pixels: usize) -> Self {
        Self {
            first: vec![0; levels],
            last: vec![0; levels],
            next: vec![0; pixels],
            level: 0,
        }
    }

    pub(super) fn push(&mut self, level: usize, pixel: u32) {
        if self.first[level] == 0 {
            self.first[level] = pixel;
        } else {
            self.next[self.last[level] as usize] = pixel;
        }
        self.last[level] = pixel;
    }

    /// Take the oldest pixel of the lowest level, with that level.
    pub(super) fn pop(&mut self) -> Option<(u32, usize)> {
        while *self.first.get(self.level)? == 0 {
            self.level += 1;
        }
        let first = &mut self.first[self.level];
        let pixel = *first;
        *first = self.next[pixel as usize];
        Some((pixel, self.level))
    }
}
