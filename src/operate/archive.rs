//! The form of a backup: a tar of which every byte is determined.
//!
//! Policy: standard tools can unpack it. A part (the dump, for example) is one zstd stream, in entries `NAME.000000`, `NAME.000001` and so on of at
//! most [`CHUNK_BYTES`], so that it can be written to a pipe and its size needs not be known first. Then come `manifest.json`, and
//! `manifest.sha256` with the checksum of the manifest. The manifest has the checksum of every part. Every header is what [`header`] makes of the
//! name, the size and the time of the backup; padding is zero; nothing follows the two zero blocks at the end. So a change of any byte is found.

use std::io;

use tar::{EntryType, Header};

/// The unit of a tar, in bytes.
pub(super) const BLOCK_BYTES: usize = 512;
/// The largest entry of a part, in bytes.
pub(super) const CHUNK_BYTES: usize = 4 << 20;
/// The largest manifest, in bytes.
pub(super) const MAX_MANIFEST_BYTES: u64 = 16 << 20;
/// The end of a tar.
pub(super) const TRAILER_BYTES: usize = 2 * BLOCK_BYTES;
/// The names of the last two entries.
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const MANIFEST_CHECKSUM: &str = "manifest.sha256";
/// Hexadecimal digits, a space, the size of the manifest in 12 digits, and a line feed.
pub(super) const CHECKSUM_BYTES: u64 = 64 + 1 + 12 + 1;
/// The parts, in their order.
pub(super) const GLOBALS: &str = "globals.sql.zst";
pub(super) const CONFIGURATION: &str = "configuration.yaml.zst";
pub(super) const DATABASE: &str = "database.dump.zst";

/// The header of an entry.
///
/// # Errors
/// When the name is too long: a bug.
pub(super) fn header(name: &str, size: u64, time: u64) -> io::Result<[u8; BLOCK_BYTES]> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(time);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    Ok(*header.as_bytes())
}

/// The number of zero bytes after so many bytes of an entry.
pub(super) fn padding(size: u64) -> usize {
    let block = BLOCK_BYTES as u64;
    // Less than a block.
    ((block - size % block) % block) as usize
}

/// The name of one entry of a part.
pub(super) fn chunk_name(part: &str, number: u32) -> String {
    format!("{part}.{number:06}")
}

/// The content of [`MANIFEST_CHECKSUM`].
pub(super) fn checksum_line(digest: &str, size: u64) -> String {
    format!("{digest} {size:012}\n")
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_with_its_padding_fills_blocks() {
        for (size, expected) in [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511), (CHUNK_BYTES as u64, 0)] {
            assert_eq!(padding(size), expected, "{size}");
        }
        assert_eq!(checksum_line(&hex(&[0xab; 32]), 7).len() as u64, CHECKSUM_BYTES);
    }
}
