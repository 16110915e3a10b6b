//! Follows the framing of a connection's input beside the HTTP parser, which hides some of what it finds or acts on it too late.
//!
//! Policy: three faults are found here: a head with both `Content-Length` and `Transfer-Encoding` (the parser drops the length), a length
//! beyond every integer (the parser calls it not valid, or the head too large), and a chunk that is larger than a body may be (the parser would wait for
//! its data). Nothing is copied except the beginning of a line that arrives in pieces. Input that this module cannot follow ends it: from
//! then on every chunked body of the connection is refused, so a difference from the parser cannot be used to smuggle a request.

use memchr::memchr;

/// The longest part of a line that is kept if the line arrives in pieces; the lines that matter are shorter.
const MAX_LINE: usize = 64;
/// A length beyond this is refused without looking at the route. The parser's own limit is not far above.
const MAX_LENGTH: u64 = i64::MAX as u64;

/// The framing of the input so far.
#[derive(Debug)]
pub struct Framing {
    position: Position,
    partial: [u8; MAX_LINE],
    partial_length: usize,
    head: Head,
    max_chunk: u64,
    has_oversized_length: bool,
    has_oversized_chunk: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// In the head of a request, or between two requests.
    Head,
    /// In a body or chunk with this many bytes left.
    Data { remaining: u64, is_chunk: bool },
    /// Before the size of a chunk.
    ChunkSize,
    /// Before the end of the line that ends a chunk.
    ChunkEnd,
    /// After the last chunk.
    Trailers,
    /// The input cannot be followed any more.
    Lost,
}

/// What the lines of a head have said so far.
#[derive(Debug, Default, Clone, Copy)]
struct Head {
    has_begun: bool,
    length: Option<u64>,
    has_transfer_encoding: bool,
}

impl Framing {
    /// The framing of a new connection, on which a chunk may have at most `max_chunk` bytes.
    pub fn new(max_chunk: u64) -> Self {
        Self {
            position: Position::Head,
            partial: [0; MAX_LINE],
            partial_length: 0,
            head: Head::default(),
            max_chunk,
            has_oversized_length: false,
            has_oversized_chunk: false,
        }
    }

    /// Whether a chunked body must be refused, because its head has a `Content-Length` too or because the input cannot be followed.
    pub fn is_lost(&self) -> bool {
        self.position == Position::Lost
    }

    /// Whether the last head has a `Content-Length` beyond [`MAX_LENGTH`].
    pub fn has_oversized_length(&self) -> bool {
        self.has_oversized_length
    }

    /// Whether a chunk is larger than a body may be.
    pub fn has_oversized_chunk(&self) -> bool {
        self.has_oversized_chunk
    }

    /// Follows the next bytes of the input.
    pub fn follow(&mut self, mut input: &[u8]) {
        while !input.is_empty() {
            input = match self.position {
                Position::Lost => return,
                Position::Data { remaining, is_chunk } => self.skip(remaining, is_chunk, input),
                _ => match memchr(b'\n', input) {
                    Some(end) if self.partial_length == 0 => {
                        self.end_line(&input[..end]);
                        &input[end + 1..]
                    }
                    Some(end) => {
                        self.keep(&input[..end]);
                        let (line, length) = (self.partial, std::mem::take(&mut self.partial_length));
                        self.end_line(&line[..length]);
                        &input[end + 1..]
                    }
                    None => {
                        self.keep(input);
                        return;
                    }
                },
            };
        }
    }

    /// Skips data; returns what follows it.
    fn skip<'a>(&mut self, remaining: u64, is_chunk: bool, input: &'a [u8]) -> &'a [u8] {
        let skipped = usize::try_from(remaining).unwrap_or(usize::MAX).min(input.len());
        self.position = match remaining - skipped as u64 {
            0 if is_chunk => Position::ChunkEnd,
            0 => Position::Head,
            remaining => Position::Data { remaining, is_chunk },
        };
        &input[skipped..]
    }

    /// Keeps the beginning of a line whose end has not arrived.
    fn keep(&mut self, piece: &[u8]) {
        let kept = piece.len().min(MAX_LINE - self.partial_length);
        self.partial[self.partial_length..self.partial_length + kept].copy_from_slice(&piece[..kept]);
        self.partial_length += kept;
        // The last byte shows how the line ends.
        if let Some(last) = piece[kept..].last() {
            self.partial[MAX_LINE - 1] = *last;
        }
    }

    /// Follows one line, without its line feed. Of a long line in pieces, only the beginning and the last byte are there.
    fn end_line(&mut self, line: &[u8]) {
        self.position = match self.position {
            Position::Head => self.head_line(line),
            Position::ChunkSize => self.chunk_size(line),
            Position::ChunkEnd if line == b"\r" => Position::ChunkSize,
            Position::Trailers if line == b"\r" => Position::Head,
            // In a body, the parser ends lines with CR LF only.
            Position::Trailers if line.ends_with(b"\r") => Position::Trailers,
            _ => Position::Lost,
        };
    }

    fn head_line(&mut self, line: &[u8]) -> Position {
        match line.strip_suffix(b"\r").unwrap_or(line) {
            // Empty lines before a request are ignored.
            [] if !self.head.has_begun => Position::Head,
            [] => {
                let head = std::mem::take(&mut self.head);
                match head.length {
                    Some(_) if head.has_transfer_encoding => Position::Lost,
                    _ if head.has_transfer_encoding => Position::ChunkSize,
                    None | Some(0) => Position::Head,
                    Some(remaining) => Position::Data { remaining, is_chunk: false },
                }
            }
            line => {
                self.head.has_begun = true;
                match line[0].to_ascii_lowercase() {
                    b'c' => self.content_length(line),
                    b't' => {
                        self.head.has_transfer_encoding |= value(line, b"transfer-encoding").is_some();
                        Position::Head
                    }
                    _ => Position::Head,
                }
            }
        }
    }

    fn content_length(&mut self, line: &[u8]) -> Position {
        let Some(digits) = value(beginning(line), b"content-length") else { return Position::Head };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) || line.len() >= MAX_LINE - 1 {
            return Position::Lost;
        }
        self.head.length = number(digits, 10).filter(|length| *length <= MAX_LENGTH);
        self.has_oversized_length = self.head.length.is_none();
        if self.has_oversized_length { Position::Lost } else { Position::Head }
    }

    fn chunk_size(&mut self, line: &[u8]) -> Position {
        let text = beginning(line);
        let digits = text.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(text.len());
        let size = number(&text[..digits], 16);
        self.has_oversized_chunk = digits > 0 && size.is_none_or(|size| size > self.max_chunk);
        match size {
            _ if digits == 0 || digits >= MAX_LINE - 1 || !line.ends_with(b"\r") || self.has_oversized_chunk => {
                Position::Lost
            }
            None => Position::Lost,
            Some(0) => Position::Trailers,
            Some(remaining) => Position::Data { remaining, is_chunk: true },
        }
    }
}

/// The part of a line that is kept: the end of a long line that arrives in pieces is dropped.
fn beginning(line: &[u8]) -> &[u8] {
    &line[..line.len().min(MAX_LINE - 1)]
}

/// The value of a header line with this name in lower case.
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    digits.iter().try_fold(0_u64, |sum, digit| {
        let digit = char::from(*digit).to_digit(radix)?;
        sum.checked_mul(u64::from(radix))?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The framing of an input that arrives at once, after comparing it with that of every other way to arrive in two pieces, and byte
    /// by byte.
    fn followed(input: &str) -> (Position, bool, bool) {
        let follow = |pieces: &[&[u8]]| {
            let mut framing = Framing::new(1 << 20);
            pieces.iter().for_each(|piece| framing.follow(piece));
            (framing.position, framing.has_oversized_length, framing.has_oversized_chunk)
        };
        let input = input.as_bytes();
        let whole = follow(&[input]);
        for split in 0..input.len() {
            assert_eq!(follow(&[&input[..split], &input[split..]]), whole, "split at {split}");
        }
        assert_eq!(follow(&input.chunks(1).collect::<Vec<_>>()), whole);
        whole
    }

    const OK: (Position, bool, bool) = (Position::Head, false, false);
    const LOST: (Position, bool, bool) = (Position::Lost, false, false);

    #[test]
    fn requests_are_followed_to_their_end() {
        let chunked = "POST / HTTP/1.1\r\nHost: x\r\ntransfer-ENCODING: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n";
        let sized = "POST / HTTP/1.1\r\nContent-Length: 31\r\n\r\nTransfer-Encoding: x\r\n\r\nabcdefg";
        let get = "\r\n\r\nGET / HTTP/1.1\nHost: x\nX: Content-Length: 3\n\n";
        for requests in [get, sized, chunked, &[get, sized, chunked, chunked, get, sized].concat()] {
            assert_eq!(followed(requests), OK, "{requests}");
        }
        let trailers = chunked.replace("0\r\n\r\n", "0\r\nContent-Length: 3\r\n\r\n");
        assert_eq!(followed(&[trailers.as_str(), get].concat()), OK);
        let long = "x".repeat(3 * MAX_LINE);
        let long = chunked.replace("a=b", &long).replace("0\r\n\r\n", &format!("0\r\nA: {long}\r\n\r\n"));
        assert_eq!(followed(&[long.as_str(), chunked].concat()), OK);
    }

    #[test]
    fn a_length_beside_a_transfer_encoding_is_found_in_any_order_and_behind_other_requests() {
        let (length, encoding) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
        let before = "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
        for (first, second) in [(length, encoding), (encoding, length)] {
            let head = format!("{before}POST / HTTP/1.1\r\n{first}X: y\r\n{second}\r\n0\r\n\r\n");
            assert_eq!(followed(&head), LOST);
        }
    }

    #[test]
    fn sizes_beyond_the_limits_are_found() {
        let length = |digits: &str| followed(&format!("POST / HTTP/1.1\r\nContent-Length: {digits}\r\n\r\n"));
        assert_eq!(length("18446744073709551616"), (Position::Lost, true, false));
        assert!(length("18446744073709551615").1);
        assert_eq!(length("9223372036854775807").0, Position::Data { remaining: MAX_LENGTH, is_chunk: false });
        assert_eq!(length("1, 1"), LOST);
        assert_eq!(length("-1"), LOST);
        let chunk = |size: &str| followed(&format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\n"));
        for size in ["100001", "FFFFFFFFFFFFFFF", "ffffffffffffffffffff", "0000000000100001;x=y"] {
            assert_eq!(chunk(size), (Position::Lost, false, true), "{size}");
        }
        assert_eq!(chunk("100000"), (Position::Data { remaining: 1 << 20, is_chunk: true }, false, false));
        assert_eq!(chunk("zz"), LOST);
        assert_eq!(chunk(""), LOST);
        assert_eq!(chunk(&"0".repeat(2 * MAX_LINE)), LOST);
    }

    #[test]
    fn bare_line_feeds_in_a_chunked_body_are_not_followed() {
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        for body in ["3\nabc\r\n", "3\r\nabc\n", "3\r\nabcd\r\n", "0\r\na: b\n\r\n"] {
            assert_eq!(followed(&format!("{head}{body}")), LOST, "{body:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_input_in_any_pieces_is_followed_without_a_panic(
            pieces in proptest::collection::vec("(\r\n|\n|0|3|f|:|;|Content-Length: |Transfer-Encoding: chunked| |a){0,9}", 0..12),
        ) {
            followed(&pieces.concat());
        }
    }

    #[test]
    fn a_line_means_the_same_in_pieces_as_whole_also_if_it_is_too_long() {
        let head = |value: String| format!("POST / HTTP/1.1\r\nContent-Length: {value}\r\n\r\n");
        let chunk = |size: String| format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\n");
        let lengths = [1, 18, 19, 40, 45, 46, 47, 48, 49, 61, 62, 63, 64, 65, 66, 200];
        let values = lengths.into_iter().flat_map(|length| ["1".repeat(length), format!("{}5", "0".repeat(length))]);
        let odd = [
            "\r\r".to_owned() + &"1".repeat(64),
            " ".repeat(70) + "5",
            "1".repeat(70) + "x",
            "0".repeat(62) + &"f".repeat(20),
            "f".repeat(20) + &" ".repeat(60),
        ];
        for input in values.chain(odd).flat_map(|value| [head(value.clone()), chunk(value)]) {
            let result = |pieces: &[&str]| {
                let mut framing = Framing::new(1 << 20);
                pieces.iter().for_each(|piece| framing.follow(piece.as_bytes()));
                (framing.is_lost(), framing.has_oversized_length(), framing.has_oversized_chunk())
            };
            let whole = result(&[&input]);
            for cut in 0..input.len() {
                assert_eq!(result(&[&input[..cut], &input[cut..]]), whole, "{input:?} cut at {cut}");
            }
        }
    }
}
