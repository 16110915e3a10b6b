//! Choices that are random, and the same for one seed.

/// Pseudo-random choices from a seed, so that subject, instance and way of reading are independent of each other.
pub(crate) struct Choice(u64);

impl Choice {
    /// The choices that belong to a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1))
    }

    /// A number below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        // Knuth's MMIX generator; its high bits are the random ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % count
    }

    /// One of the items.
    pub(crate) fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}
