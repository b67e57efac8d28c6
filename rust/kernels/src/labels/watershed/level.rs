//! The levels of a watershed as unsigned integers.

/// A type of pixels, which are ordered as unsigned integers are.
pub trait Level: Copy {
    /// The integer.
    type Key: Key;

    /// The number of levels, if buckets for all of them are worth their memory.
    const BUCKETS: Option<usize>;

    /// The integer of this level; `None` for not-a-number.
    fn key(self) -> Option<Self::Key>;
}

/// A level as an unsigned integer.
pub trait Key: Copy + Ord + Default + Into<u64> {
    /// The order of pixels in the queue: level, then age.
    type Order: Copy + Ord;

    /// Combine level and age.
    fn with_age(self, age: u32) -> Self::Order;

    /// The level of such a combination.
    fn of(order: Self::Order) -> Self;
}

impl Key for u32 {
    type Order = u64;

    fn with_age(self, age: u32) -> u64 {
        u64::from(self) << 32 | u64::from(age)
    }

    fn of(order: u64) -> Self {
        (order >> 32) as u32
    }
}

impl Key for u64 {
    type Order = u128;

    fn with_age(self, age: u32) -> u128 {
        u128::from(self) << 32 | u128::from(age)
    }

    fn of(order: u128) -> Self {
        (order >> 32) as u64
    }
}

impl Level for u8 {
    type Key = u32;
    const BUCKETS: Option<usize> = Some(1 << 8);

    fn key(self) -> Option<u32> {
        Some(self.into())
    }
}

impl Level for u16 {
    type Key = u32;
    const BUCKETS: Option<usize> = Some(1 << 16);

    fn key(self) -> Option<u32> {
        Some(self.into())
    }
}

impl Level for f32 {
    type Key = u32;
    const BUCKETS: Option<usize> = None;

    fn key(self) -> Option<u32> {
        // Negative zero becomes zero. The bits of negative numbers fall as the numbers rise.
        let bits = (self + 0.0).to_bits();
        let key = if bits >> 31 == 1 {
            !bits
        } else {
            bits | 1 << 31
        };
        (!self.is_nan()).then_some(key)
    }
}

impl Level for f64 {
    type Key = u64;
    const BUCKETS: Option<usize> = None;

    fn key(self) -> Option<u64> {
        let bits = (self + 0.0).to_bits();
        let key = if bits >> 63 == 1 {
            !bits
        } else {
            bits | 1 << 63
        };
        (!self.is_nan()).then_some(key)
    }
}
