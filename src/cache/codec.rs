//! The form in which a value is stored in Redis.
//!
//! Policy: two lines (generation; when the data was read), then the value in its own form. Anything else is not a value: Redis may hold
//! anything, also what another version of this program wrote.

use std::fmt::Write as _;

use bytes::Bytes;

use super::generation::Generation;
use super::value::CacheValue;

/// A value found in Redis.
#[derive(Debug)]
pub(super) struct StoredValue<V> {
    pub(super) value: V,
    /// A moment before the data was read, in milliseconds since 1970 by the clock of the instance that read it.
    pub(super) read_at: u64,
}

pub(super) fn encode<V: CacheValue>(generation: &Generation, read_at: u64, value: &V) -> Vec<u8> {
    let mut head = String::with_capacity(160);
    // Writing to a String cannot fail.
    let _ = write!(head, "{generation}\n{read_at}\n");
    let mut encoded = head.into_bytes();
    value.encode(&mut encoded);
    encoded
}

/// The value, if it is one and of this generation.
pub(super) fn decode<V: CacheValue>(encoded: Vec<u8>, generation: &Generation) -> Option<StoredValue<V>> {
    let mut rest = Bytes::from(encoded);
    let mut line = || {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        Some(rest.split_to(end + 1).slice(..end))
    };
    let (stored_under, read_at) = (line()?, line()?);
    if stored_under != generation.to_string().as_bytes() {
        return None;
    }
    let read_at = std::str::from_utf8(&read_at).ok()?.parse().ok()?;
    Some(StoredValue { value: V::decode(rest)?, read_at })
}

#[cfg(test)]
mod tests {
    use super::super::tests::fakes::Text;
    use super::*;

    fn generation(text: &str) -> Generation {
        Generation::Shared(text.into())
    }

    fn decoded(encoded: &[u8], under: &str) -> Option<StoredValue<Text>> {
        decode(encoded.to_vec(), &generation(under))
    }

    #[test]
    fn a_value_is_found_only_under_its_own_generation() {
        let encoded = encode(&generation("g1"), 17, &Text::from("a\nb"));
        assert_eq!(encoded, b"g1\n17\na\nb");
        let stored = decoded(&encoded, "g1").unwrap();
        assert_eq!((stored.value, stored.read_at), (Text::from("a\nb"), 17));
        assert!(decoded(&encoded, "g2").is_none());
        assert!(decoded(&encoded, "g").is_none());
    }

    #[test]
    fn the_generation_of_a_private_cache_has_the_seed_of_its_process() {
        let (one, other) = (Generation::Private { seed: 1, count: 7 }, Generation::Private { seed: 2, count: 7 });
        let encoded = encode(&one, 17, &Text::from("x"));
        assert!(encoded.starts_with(b"0000000000000001.7\n"));
        assert!(decode::<Text>(encoded.clone(), &one).is_some());
        assert!(decode::<Text>(encoded, &other).is_none());
    }

    #[test]
    fn what_is_not_a_stored_value_is_ignored() {
        for encoded in
            [&b""[..], b"g1", b"g1\n", b"g1\n1", b"g1\n-\nx", b"g1\n\nx", b"\0\0", b"1\ng1\nx", b"g1\n1\n\xff"]
        {
            assert!(decoded(encoded, "g1").is_none(), "{encoded:?}");
        }
    }
}
