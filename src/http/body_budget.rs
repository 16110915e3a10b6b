//! The memory that the bodies of all requests may have together.
//!
//! Policy: memory is reserved when the bytes of a body have arrived, never from its announced length. The first
//! [`MAX_UNCOUNTED`] bytes of a body are not counted, so that a body of ordinary size always has room and costs no shared
//! operation. What a body has reserved is released when it is dropped.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A body up to this size is not counted. A record is smaller.
pub const MAX_UNCOUNTED: usize = 8 * 1024;

/// The memory that bodies have reserved.
#[derive(Debug, Default)]
pub struct BodyBudget {
    reserved: AtomicUsize,
}

/// There is no room for a body at the moment.
#[derive(Debug)]
pub struct BudgetExhausted;

/// The bytes of a body that have arrived, and the memory reserved for them.
#[derive(Debug)]
pub struct BudgetedBody<'a> {
    budget: &'a BodyBudget,
    limit: usize,
    /// The largest size that the body can reach.
    max_size: usize,
    bytes: Vec<u8>,
    reserved: usize,
}

impl BodyBudget {
    /// An empty body that may grow to `max_size` as long as all bodies together have reserved at most `limit` bytes.
    pub fn body(&self, limit: usize, max_size: usize) -> BudgetedBody<'_> {
        let bytes = Vec::with_capacity(max_size.min(MAX_UNCOUNTED));
        BudgetedBody { budget: self, limit, max_size, bytes, reserved: 0 }
    }

    fn try_reserve(&self, bytes: usize, limit: usize) -> bool {
        let more = |reserved: usize| reserved.checked_add(bytes).filter(|sum| *sum <= limit);
        // Only the number counts; it guards no other memory.
        self.reserved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

impl BudgetedBody<'_> {
    /// The bytes so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends bytes that have arrived.
    ///
    /// # Errors
    /// When there is no room for them.
    pub fn append(&mut self, data: &[u8]) -> Result<(), BudgetExhausted> {
        let needed = self.bytes.len() + data.len();
        if needed > self.bytes.capacity() {
            self.grow(needed)?;
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// Makes room for `needed` bytes: twice the present room if the budget allows it, so that a body is copied a few times
    /// only, otherwise just what is needed.
    fn grow(&mut self, needed: usize) -> Result<(), BudgetExhausted> {
        let generous = (2 * self.bytes.capacity()).min(self.max_size).max(needed);
        let capacity =
            [generous, needed].into_iter().find(|capacity| self.reserve(*capacity)).ok_or(BudgetExhausted)?;
        self.bytes.reserve_exact(capacity - self.bytes.len());
        Ok(())
    }

    fn reserve(&mut self, capacity: usize) -> bool {
        let counted = capacity.saturating_sub(MAX_UNCOUNTED);
        let more = counted.saturating_sub(self.reserved);
        let is_reserved = more == 0 || self.budget.try_reserve(more, self.limit);
        if is_reserved {
            self.reserved += more;
        }
        is_reserved
    }
}

impl Drop for BudgetedBody<'_> {
    fn drop(&mut self) {
        if self.reserved > 0 {
            self.budget.reserved.fetch_sub(self.reserved, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_body_is_not_counted_and_always_has_room() {
        let budget = BodyBudget::default();
        let mut body = budget.body(0, 1 << 20);
        body.append(&[b'a'; MAX_UNCOUNTED]).unwrap();
        assert_eq!(budget.reserved.load(Ordering::Relaxed), 0);
        assert!(body.append(b"a").is_err());
        assert_eq!(body.bytes().len(), MAX_UNCOUNTED);
    }

    #[test]
    fn an_announced_length_reserves_nothing() {
        let budget = BodyBudget::default();
        let bodies: Vec<_> = (0..1000).map(|_| budget.body(1 << 20, 1 << 20)).collect();
        assert_eq!(budget.reserved.load(Ordering::Relaxed), 0);
        assert!(bodies.iter().all(|body| body.bytes.capacity() <= MAX_UNCOUNTED));
    }

    #[test]
    fn bodies_share_the_budget_and_give_their_part_back() {
        let (budget, limit, size) = (BodyBudget::default(), 64 * 1024, 48 * 1024);
        let mut first = budget.body(limit, size);
        first.append(&vec![b'a'; size]).unwrap();
        let mut second = budget.body(limit, size);
        assert!(second.append(&vec![b'b'; size]).is_err());
        drop(first);
        second.append(&vec![b'b'; size]).unwrap();
        assert_eq!((second.bytes().len(), second.bytes.capacity()), (size, size));
        drop(second);
        assert_eq!(budget.reserved.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_last_bytes_of_the_budget_are_usable() {
        let budget = BodyBudget::default();
        let mut body = budget.body(1024, 1 << 20);
        for _ in 0..9 {
            body.append(&[b'a'; 1024]).unwrap();
        }
        assert!(body.append(b"a").is_err());
    }
}
