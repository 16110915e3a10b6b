//! Bringing the schema up to date at start-up.
