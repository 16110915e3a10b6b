//! Entry points for the fuzz targets in `fuzz/`, into items that are not public. Compiled only for fuzzing.

use super::codec;
use super::generation::Generation;
use super::value::CacheValue;

/// Decodes what Redis holds, also with the head that a value of this program has; what is decoded must be encoded as the same bytes.
pub fn stored_value<V: CacheValue>(stored: &[u8]) {
    let generation = Generation::Private { seed: 1, count: 2 };
    let _ = codec::decode::<V>(stored.to_vec(), &generation);
    let whole = [format!("{generation}\n3\n").as_bytes(), stored].concat();
    if let Some(decoded) = codec::decode::<V>(whole.clone(), &generation) {
        assert_eq!(codec::encode(&generation, decoded.read_at, &decoded.value), whole);
    }
}
