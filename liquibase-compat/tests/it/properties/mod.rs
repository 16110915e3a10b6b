//! What holds for every changelog: undoing restores, the order of attributes does not count, what ran does not run again.

mod attributes;
mod undo;

use std::path::{Path, PathBuf};

/// The recorded changelogs, by the name of their case and in its order.
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

/// Numbers that look random and are the same in each run, so that a failure can be had again.
struct Numbers(u64);

impl Numbers {
    /// One below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        // Constants of Knuth's MMIX generator; the upper half is the better one.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
