//! The freshness of the caches under every order of events, and what these and other tests of this module share.

mod announced_interleavings;
pub(super) mod fakes;
mod interleavings;
mod simulation;
