//! Rebuilds when the embedded PostgreSQL distribution appears or changes: the embedding macro cannot see that by itself.

fn main() {
    // Cargo takes a watched path that is missing for one that changed, and would rebuild every time.
    let _ = std::fs::create_dir_all("target/postgres");
    println!("cargo:rerun-if-changed=target/postgres");
    println!("cargo:rerun-if-changed=build.rs");
}
