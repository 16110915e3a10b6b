//! Rebuilds when the embedded PostgreSQL distribution appears or changes: the embedding macro cannot see that by itself.

fn main() {
    println!("cargo:rerun-if-changed=target/postgres");
    println!("cargo:rerun-if-changed=build.rs");
}
