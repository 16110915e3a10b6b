//! Properties of every changelog: a rollback restores the schema, the order of attributes does not affect checksums, and what ran
//! does not run again.

mod attribute_order;
mod rollback;

use std::path::{Path, PathBuf};

/// The directories of the recorded changelogs, with the names of their cases, in the order of the names.
fn cases() -> Vec<(String, PathBuf)> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/corpus");
    let mut cases: Vec<(String, PathBuf)> = std::fs::read_dir(corpus)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .collect();
    cases.sort();
    cases
}

/// Pseudo-random numbers that are equal in each run, so that a failing test can be repeated.
struct Random(u64);

impl Random {
    /// A number below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        // The constants of Knuth's MMIX generator. Its upper bits are the better ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
