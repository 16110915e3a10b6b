//! A page of a view that is written while its rows are read.

use std::ops::ControlFlow;

use tokio_postgres::Row;

use super::store::RowSink;

/// A page ends early past this size.
pub(super) const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

/// A page of a view.
pub(super) struct ViewPage {
    /// A complete JSON body, newline included.
    pub(super) body: Vec<u8>,
    /// The cursor of the next page, if there is one.
    pub(super) next: Option<String>,
}

/// Writes a JSON array with a value for each row.
pub(super) struct ArraySink<K, W, C> {
    limit: u32,
    key: K,
    write: W,
    body: Vec<u8>,
    rows: u32,
    last: Option<C>,
    is_complete: bool,
}

impl<K, W, C> ArraySink<K, W, C> {
    /// An array of at most so many values; `key` says after which key a next page begins.
    pub(super) fn new(limit: u32, key: K, write: W) -> Self {
        Self { limit, key, write, body: vec![b'['], rows: 0, last: None, is_complete: true }
    }

    /// Whether there are further rows.
    pub(super) fn is_cut(&self) -> bool {
        !self.is_complete
    }

    /// The page; `encode` makes the cursor of a next one.
    pub(super) fn finish(mut self, encode: impl FnOnce(&C) -> String) -> ViewPage {
        self.body.extend_from_slice(b"]\n");
        ViewPage { body: self.body, next: self.last.filter(|_| !self.is_complete).as_ref().map(encode) }
    }
}

impl<K, W, C> RowSink for ArraySink<K, W, C>
where
    K: Fn(&Row) -> Result<C, tokio_postgres::Error> + Send,
    W: Fn(&Row, &mut Vec<u8>) -> Result<(), tokio_postgres::Error> + Send,
    C: Send,
{
    fn restart(&mut self) {
        self.body.truncate(1);
        (self.rows, self.last, self.is_complete) = (0, None, true);
    }

    fn row(&mut self, row: Row) -> Result<ControlFlow<()>, tokio_postgres::Error> {
        if self.rows == self.limit || self.body.len() > MAX_PAGE_BYTES {
            self.is_complete = false;
            return Ok(ControlFlow::Break(()));
        }
        if self.rows > 0 {
            self.body.push(b',');
        }
        (self.write)(&row, &mut self.body)?;
        self.rows += 1;
        self.last = Some((self.key)(&row)?);
        Ok(ControlFlow::Continue(()))
    }
}
