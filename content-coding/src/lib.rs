//! The content codings of HTTP that the appliance can send.
//!
//! Policy: one encoder for three uses, which differ in the effort: a file is encoded once, when the program is built; an answer in memory
//! once for all who read it; a stream piece by piece, with everything that was pushed readable by the client, and with little memory. This is a crate of its own
//! because the build script needs it, too, and because it must be optimised in a build for development.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContentCoding {
    /// `zstd` (RFC 8878)
    Zstd,
    /// `br` (RFC 7932)
    Brotli,
    /// `gzip` (RFC 1952)
    Gzip,
}

/// How much work is spent on a small result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// As much as there is.
    Most,
    /// Milliseconds for a megabyte.
    Fast,
    /// As [`Effort::Fast`], with a small window, so that many streams have room in memory.
    Stream,
}

/// The window of a stream, as a power of two, in bytes: 128 KiB.
const STREAM_WINDOW: u32 = 17;
/// The window of brotli otherwise: 4 MiB, its default.
const BROTLI_WINDOW: u32 = 22;
const BUFFER: usize = 16 * 1024;

impl ContentCoding {
    /// All codings, the fastest first.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// Its name in `Content-Encoding`.
    pub fn token(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// Encodes a whole content.
    ///
    /// # Errors
    /// When the encoder has no memory.
    pub fn encode(self, effort: Effort, content: &[u8]) -> io::Result<Vec<u8>> {
        let mut encoder = Encoder::new(self, effort)?;
        encoder.write_all(content)?;
        encoder.finish()
    }
}

/// Decodes a content of about `size` bytes whose coding is [`ContentCoding::Brotli`].
///
/// # Errors
/// When it is not such a content.
pub fn decode_brotli(encoded: &[u8], size: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::with_capacity(size);
    brotli::Decompressor::new(encoded, BUFFER).read_to_end(&mut content)?;
    Ok(content)
}

/// Encodes a content piece by piece.
pub struct Encoder(Inner);

enum Inner {
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Gzip(GzEncoder<Vec<u8>>),
}

impl Encoder {
    /// An encoder at the beginning of a content.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(coding: ContentCoding, effort: Effort) -> io::Result<Self> {
        let out = Vec::new();
        Ok(Self(match coding {
            ContentCoding::Zstd => Inner::Zstd(zstd_encoder(out, effort)?),
            ContentCoding::Brotli => Inner::Brotli(Box::new(brotli_encoder(out, effort))),
            ContentCoding::Gzip => Inner::Gzip(GzEncoder::new(out, gzip_level(effort))),
        }))
    }

    /// Encodes a piece. The result ends where the client can decode all of it.
    ///
    /// # Errors
    /// When the encoder has no memory.
    pub fn push(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        self.write_all(piece)?;
        match &mut self.0 {
            Inner::Zstd(encoder) => encoder.flush()?,
            Inner::Brotli(encoder) => encoder.flush()?,
            Inner::Gzip(encoder) => encoder.flush()?,
        }
        Ok(std::mem::take(match &mut self.0 {
            Inner::Zstd(encoder) => encoder.get_mut(),
            Inner::Brotli(encoder) => encoder.get_mut(),
            Inner::Gzip(encoder) => encoder.get_mut(),
        }))
    }

    /// Ends the content and returns the rest of the result.
    ///
    /// # Errors
    /// When the encoder has no memory.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        match self.0 {
            Inner::Zstd(encoder) => encoder.finish(),
            Inner::Brotli(encoder) => Ok(encoder.into_inner()),
            Inner::Gzip(encoder) => encoder.finish(),
        }
    }

    fn write_all(&mut self, content: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            Inner::Zstd(encoder) => encoder.write_all(content),
            Inner::Brotli(encoder) => encoder.write_all(content),
            Inner::Gzip(encoder) => encoder.write_all(content),
        }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.0 {
            Inner::Zstd(_) => "Encoder(zstd)",
            Inner::Brotli(_) => "Encoder(br)",
            Inner::Gzip(_) => "Encoder(gzip)",
        })
    }
}

fn zstd_encoder(out: Vec<u8>, effort: Effort) -> io::Result<zstd::stream::write::Encoder<'static, Vec<u8>>> {
    let level = match effort {
        // RFC 9659: browsers accept windows of up to 8 MiB, which is that of this level.
        Effort::Most => 19,
        Effort::Fast => 3,
        Effort::Stream => 1,
    };
    let mut encoder = zstd::stream::write::Encoder::new(out, level)?;
    if effort == Effort::Stream {
        encoder.window_log(STREAM_WINDOW)?;
    }
    Ok(encoder)
}

fn brotli_encoder(out: Vec<u8>, effort: Effort) -> brotli::CompressorWriter<Vec<u8>> {
    let (quality, window) = match effort {
        Effort::Most => (11, BROTLI_WINDOW),
        Effort::Fast => (4, BROTLI_WINDOW),
        Effort::Stream => (3, STREAM_WINDOW),
    };
    brotli::CompressorWriter::new(out, BUFFER, quality, window)
}

fn gzip_level(effort: Effort) -> Compression {
    match effort {
        Effort::Most => Compression::best(),
        Effort::Fast | Effort::Stream => Compression::new(4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(coding: ContentCoding, encoded: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        // What has been flushed can be decoded before the content ends, which the decoder reports.
        let _ = match coding {
            ContentCoding::Zstd => zstd::stream::read::Decoder::new(encoded).unwrap().read_to_end(&mut out),
            ContentCoding::Brotli => brotli::Decompressor::new(encoded, BUFFER).read_to_end(&mut out),
            ContentCoding::Gzip => flate2::read::GzDecoder::new(encoded).read_to_end(&mut out),
        };
        out
    }

    fn content() -> Vec<u8> {
        (0..4000).flat_map(|n| format!("{{\"id\":\"{n}\",\"status\":\"Present\"}},").into_bytes()).collect()
    }

    #[test]
    fn a_content_survives_every_coding_and_becomes_smaller() {
        for coding in ContentCoding::ALL {
            for effort in [Effort::Most, Effort::Fast, Effort::Stream] {
                let encoded = coding.encode(effort, &content()).unwrap();
                assert!(encoded.len() < content().len() / 4, "{coding:?} {effort:?}: {}", encoded.len());
                assert_eq!(decode(coding, &encoded), content(), "{coding:?} {effort:?}");
                assert_eq!(decode(coding, &coding.encode(effort, b"").unwrap()), b"", "{coding:?} {effort:?}");
            }
        }
    }

    #[test]
    fn a_content_in_br_is_decoded_and_half_of_it_is_an_error() {
        let encoded = ContentCoding::Brotli.encode(Effort::Fast, &content()).unwrap();
        assert_eq!(decode_brotli(&encoded, content().len()).unwrap(), content());
        assert!(decode_brotli(&encoded[..encoded.len() / 2], content().len()).is_err());
    }

    #[test]
    fn every_pushed_piece_can_be_decoded_at_once() {
        for coding in ContentCoding::ALL {
            let mut encoder = Encoder::new(coding, Effort::Stream).unwrap();
            let (mut sent, mut received) = (Vec::new(), Vec::new());
            for piece in content().chunks(9_999) {
                sent.extend_from_slice(piece);
                received.extend(encoder.push(piece).unwrap());
                assert_eq!(decode(coding, &received).len(), sent.len(), "{coding:?}");
            }
            received.extend(encoder.finish().unwrap());
            assert_eq!(decode(coding, &received), sent, "{coding:?}");
        }
    }
}
