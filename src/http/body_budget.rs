//! The memory that the bodies of all requests may have together.
//!
//! Policy: memory is reserved when the bytes of a body have arrived, never from its announced length. The first
//! [`MAX_UNCOUNTED`] bytes of a body are not counted, so that a body of ordinary size always has room and costs no shared
//! operation. What a body has reserved is released when it is dropped.
//!
//! A larger body counts with what its connection holds beside its segments: the part that would not count, and the parser's buffer. Without that, thousands of
//! bodies that have just become large take three times what is counted. It reserves [`MIN_RESERVATION`] at first, which is used up before it
//! reserves more. A body alone may have the whole budget, however large the buffer is.
//!
//! A body is kept in segments of one size until it is complete. If it were moved to twice the room again and again, the allocator would keep what
//! was left behind: as much as the bodies have.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A body up to this size is not counted. A record is smaller.
pub const MAX_UNCOUNTED: usize = 8 * 1024;

/// The size of the segments after the first one.
const SEGMENT: usize = 16 * 1024;

/// What a body of more than [`MAX_UNCOUNTED`] bytes reserves at least. The smallest budget that can be configured is as large.
const MIN_RESERVATION: usize = 64 * 1024;

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
    /// What the connection of a large body holds beside `further`.
    beside: usize,
    /// The bytes that are not counted.
    first: Vec<u8>,
    further: Vec<Vec<u8>>,
    length: usize,
    /// The capacity of `further`.
    further_capacity: usize,
    reserved: usize,
}

impl BodyBudget {
    /// An empty body that may grow to `max_size` as long as all bodies together have reserved at most `limit` bytes. The parser of its connection
    /// has a buffer of `parser_buffer` bytes.
    pub fn body(&self, limit: usize, max_size: usize, parser_buffer: usize) -> BudgetedBody<'_> {
        let first = Vec::with_capacity(max_size.min(MAX_UNCOUNTED));
        BudgetedBody {
            budget: self,
            limit,
            max_size,
            beside: MAX_UNCOUNTED + parser_buffer,
            first,
            further: Vec::new(),
            length: 0,
            further_capacity: 0,
            reserved: 0,
        }
    }

    /// Whether there is no room for a body of this size to begin. Memory that other bodies give back meanwhile does not count.
    pub fn is_exhausted_for(&self, size: u64, limit: usize) -> bool {
        let is_counted = size > MAX_UNCOUNTED as u64;
        is_counted && limit.saturating_sub(self.reserved.load(Ordering::Relaxed)) < MIN_RESERVATION
    }

    fn try_reserve(&self, bytes: usize, limit: usize) -> bool {
        let more = |reserved: usize| reserved.checked_add(bytes).filter(|sum| *sum <= limit);
        // Only the number counts; it guards no other memory.
        self.reserved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

impl BudgetedBody<'_> {
    /// How many bytes have arrived.
    pub fn size(&self) -> usize {
        self.length
    }

    /// Takes the bytes out of the body, which is empty then. They count until the body is dropped.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        self.length = 0;
        let mut bytes = std::mem::take(&mut self.first);
        let further = std::mem::take(&mut self.further);
        bytes.reserve_exact(further.iter().map(Vec::len).sum());
        // Each segment is freed when it has been copied.
        further.into_iter().for_each(|segment| bytes.extend_from_slice(&segment));
        bytes
    }

    /// Appends bytes that have arrived.
    ///
    /// # Errors
    /// When there is no room for them. The body may have a part of them then.
    pub fn append(&mut self, mut data: &[u8]) -> Result<(), BudgetExhausted> {
        loop {
            let last = self.further.last_mut().unwrap_or(&mut self.first);
            let (fitting, rest) = data.split_at(data.len().min(last.capacity() - last.len()));
            last.extend_from_slice(fitting);
            self.length += fitting.len();
            data = rest;
            if data.is_empty() {
                return Ok(());
            }
            self.add_segment(data.len())?;
        }
    }

    /// Makes room for `needed` bytes or a part of them: a whole segment if the budget allows it, otherwise just what is needed.
    fn add_segment(&mut self, needed: usize) -> Result<(), BudgetExhausted> {
        let whole = SEGMENT.min(self.max_size.saturating_sub(self.length).max(needed));
        let sizes = [whole, needed.min(whole)];
        let size = sizes.into_iter().find(|size| self.reserve(*size)).ok_or(BudgetExhausted)?;
        self.further.push(Vec::with_capacity(size));
        self.further_capacity += size;
        Ok(())
    }

    /// Reserves what a further segment of `size` bytes needs beyond what has been reserved.
    fn reserve(&mut self, size: usize) -> bool {
        let counted = self.further_capacity + size;
        let needed = (counted + self.beside).min(self.limit).max(counted).max(MIN_RESERVATION);
        let more = needed.saturating_sub(self.reserved);
        let is_reserved = more == 0 || self.budget.try_reserve(more, self.limit);
        if is_reserved {
            self.reserved = self.reserved.max(needed);
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

    const PARSER_BUFFER: usize = 16 * 1024;

    #[test]
    fn a_small_body_is_not_counted_and_always_has_room() {
        let budget = BodyBudget::default();
        let mut body = budget.body(0, 1 << 20, PARSER_BUFFER);
        body.append(&[b'a'; MAX_UNCOUNTED]).unwrap();
        assert_eq!(budget.reserved.load(Ordering::Relaxed), 0);
        assert!(body.append(b"a").is_err());
        assert_eq!((body.size(), body.take_bytes().len()), (MAX_UNCOUNTED, MAX_UNCOUNTED));
    }

    #[test]
    fn an_announced_length_reserves_nothing() {
        let budget = BodyBudget::default();
        let bodies: Vec<_> = (0..1000).map(|_| budget.body(1 << 20, 1 << 20, PARSER_BUFFER)).collect();
        assert_eq!(budget.reserved.load(Ordering::Relaxed), 0);
        assert!(bodies.iter().all(|body| body.first.capacity() <= MAX_UNCOUNTED && body.further.is_empty()));
    }

    #[test]
    fn bodies_share_the_budget_and_give_their_part_back() {
        let (budget, limit, size) = (BodyBudget::default(), 2 * MIN_RESERVATION, 80 * 1024);
        let mut first = budget.body(limit, size, PARSER_BUFFER);
        first.append(&vec![b'a'; size]).unwrap();
        let mut second = budget.body(limit, size, PARSER_BUFFER);
        assert!(second.append(&vec![b'b'; size]).is_err());
        drop((first, second));
        let mut second = budget.body(limit, size, PARSER_BUFFER);
        second.append(&vec![b'b'; size]).unwrap();
        assert_eq!(second.reserved, size + PARSER_BUFFER);
        assert_eq!(second.take_bytes(), vec![b'b'; size]);
        drop(second);
        assert_eq!(budget.reserved.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn bodies_that_have_just_become_large_are_few_enough_for_the_buffers_of_their_connections() {
        let (budget, limit) = (BodyBudget::default(), 32 << 20);
        let mut bodies: Vec<_> = (0..2000).map(|_| budget.body(limit, 1 << 20, PARSER_BUFFER)).collect();
        for body in &mut bodies {
            let _ = body.append(&[b'a'; MAX_UNCOUNTED + 1]);
        }
        let large = bodies.iter().filter(|body| !body.further.is_empty()).count();
        assert_eq!(large, limit / MIN_RESERVATION);
    }

    #[test]
    fn the_bytes_of_a_body_are_those_that_were_appended_whatever_the_pieces() {
        let budget = BodyBudget::default();
        let bytes: Vec<u8> =
            (0..100_000).map(|number: u32| number.to_le_bytes()[0] ^ number.to_le_bytes()[1]).collect();
        for piece in [1, 100, MAX_UNCOUNTED, SEGMENT, SEGMENT + 1, 70_000, 100_000] {
            for max_size in [bytes.len(), 1 << 20] {
                let mut body = budget.body(1 << 20, max_size, PARSER_BUFFER);
                bytes.chunks(piece).for_each(|piece| body.append(piece).unwrap());
                assert_eq!(body.size(), bytes.len());
                assert_eq!(body.take_bytes(), bytes);
            }
        }
        assert_eq!(budget.reserved.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_body_that_cannot_begin_is_known_by_its_announced_size() {
        let (budget, limit) = (BodyBudget::default(), 2 * MIN_RESERVATION - 1);
        let (small, large) = (MAX_UNCOUNTED as u64, MAX_UNCOUNTED as u64 + 1);
        assert!(!budget.is_exhausted_for(large, limit));
        let mut body = budget.body(limit, 1 << 20, PARSER_BUFFER);
        body.append(&[b'a'; MAX_UNCOUNTED]).unwrap();
        assert!(!budget.is_exhausted_for(large, limit));
        body.append(b"a").unwrap();
        assert!(budget.is_exhausted_for(large, limit) && !budget.is_exhausted_for(small, limit));
        assert!(!budget.is_exhausted_for(large, limit + 1));
        drop(body);
        assert!(!budget.is_exhausted_for(large, limit));
    }

    #[test]
    fn a_body_alone_may_have_the_whole_budget() {
        for limit in [MIN_RESERVATION, 1 << 20] {
            for parser_buffer in [PARSER_BUFFER, 1 << 20] {
                let budget = BodyBudget::default();
                let mut body = budget.body(limit, 2 << 20, parser_buffer);
                body.append(&vec![b'a'; MAX_UNCOUNTED + limit - 1024]).unwrap();
                body.append(&[b'a'; 1024]).unwrap();
                assert_eq!(body.reserved, limit);
                assert!(body.append(b"a").is_err());
            }
        }
    }
}
