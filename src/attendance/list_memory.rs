//! The memory of lists that are held complete.
//!
//! Policy: an answer is kept in memory by the cache, and by each client that reads it slowly, also after the cache has dropped it. So its memory
//! is counted from when it was loaded until its last holder has dropped it, and belongs to the client that asked first. The clients share the
//! memory fairly, like the slots. Answers up to [`MAX_UNCOUNTED`] are not counted: those of all connections together are bounded by
//! `server.max_connections`.

use std::sync::Arc;

use super::list_client::ListClient;
use crate::peer_counts::{PeerCount, PeerCounts};

/// An answer up to this size is not counted.
const MAX_UNCOUNTED: usize = 16 * 1024;

/// The memory that lists have.
#[derive(Debug)]
pub(super) struct ListMemory {
    counts: Arc<PeerCounts>,
    capacity: u64,
}

impl ListMemory {
    /// Memory of so many bytes.
    pub(super) fn new(capacity: usize) -> Self {
        Self { counts: Arc::default(), capacity: capacity as u64 }
    }

    /// Makes `held` the memory of a list of so many bytes. Returns `false`, and changes nothing, if the client cannot have so much.
    pub(super) fn cover(&self, client: &ListClient, held: &mut Option<PeerCount>, bytes: usize) -> bool {
        if bytes <= MAX_UNCOUNTED {
            *held = None;
            return true;
        }
        let (bytes, present) = (bytes as u64, held.as_ref().map_or(0, PeerCount::amount));
        if let Some(more) = bytes.checked_sub(present).filter(|more| *more > 0) {
            let added = self.counts.try_add(client.peer, more, |usage| client.may_add(usage, more, self.capacity));
            let Some(added) = added else { return false };
            match held {
                Some(held) => held.absorb(added),
                None => *held = Some(added),
            }
        } else if let Some(held) = held {
            held.shrink_to(bytes);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(host: u8) -> ListClient {
        ListClient::new([10, 0, 0, host].into(), std::time::Instant::now())
    }

    #[test]
    fn a_small_list_is_not_counted() {
        let memory = ListMemory::new(0);
        let mut held = None;
        assert!(memory.cover(&client(1), &mut held, MAX_UNCOUNTED) && held.is_none());
        assert!(!memory.cover(&client(1), &mut held, MAX_UNCOUNTED + 1) && held.is_none());
    }

    #[test]
    fn a_list_grows_shrinks_and_gives_its_memory_back() {
        let memory = ListMemory::new(400_000);
        let mut held = None;
        assert!(memory.cover(&client(1), &mut held, 100_000));
        assert!(memory.cover(&client(1), &mut held, 200_000));
        assert_eq!(memory.counts.total(), 200_000);
        assert!(!memory.cover(&client(1), &mut held, 200_001), "half is left for others");
        assert_eq!(memory.counts.total(), 200_000);
        let mut other = None;
        assert!(memory.cover(&client(2), &mut other, 100_000));
        assert!(memory.cover(&client(1), &mut held, 20_000));
        assert_eq!(memory.counts.total(), 120_000);
        drop((held, other));
        assert_eq!(memory.counts.total(), 0);
    }
}
