//! LineQueue on their way to the output.
//!
//! Policy: whoever has a line adds it to a buffer and goes on; a thread of its own writes what has gathered in one
//! call. The buffer is bounded in bytes, twice over while it is being written; a line that finds it full, or that the
//! output refuses, is dropped and counted. The thread sleeps while there is nothing and gathers for a moment while there
//! is, so that a busy server pays for few wake-ups and few writes.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes that may wait to be written: some 14,000 lines.
const MOST: usize = 4 << 20;
/// A buffer that has grown past this is given back once it is written.
const KEPT: usize = 256 << 10;
/// LineQueue gather for this long before they are written; what a kill may lose.
const GATHERING: Duration = Duration::from_millis(10);
/// At the end, an output that takes nothing is waited for this long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where lines are handed over.
#[derive(Debug, Default)]
pub struct LineQueue {
    state: Mutex<State>,
    /// There is something for the thread to do.
    work: Condvar,
    /// The thread has ended.
    ended: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    asleep: bool,
    closed: bool,
    ended: bool,
}

impl LineQueue {
    /// Takes a line, its end included, or drops it.
    pub fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.waiting.len() + line.len() > MOST {
            drop(state);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.waiting.extend_from_slice(line);
        if mem::take(&mut state.asleep) {
            drop(state);
            self.work.notify_one();
        }
    }

    /// LineQueue dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// What has gathered; `None` at the end.
    fn next(&self, mut written: Vec<u8>) -> Option<Vec<u8>> {
        let mut state = self.state();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            state.asleep = true;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.closed {
            drop(state);
            thread::sleep(GATHERING);
            state = self.state();
        }
        written.clear();
        if written.capacity() > KEPT {
            written = Vec::new();
        }
        Some(mem::replace(&mut state.waiting, written))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is a buffer of whole lines and a few flags: none is left half-changed by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that writes. Dropping it writes what is left, within a second.
#[derive(Debug)]
pub struct Writer(Arc<LineQueue>);

impl Writer {
    /// Begins to write lines to an output.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(lines: Arc<LineQueue>, mut output: impl io::Write + Send + 'static) -> io::Result<Self> {
        let taken = Arc::clone(&lines);
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            let mut batch = Vec::new();
            while let Some(next) = taken.next(batch) {
                batch = next;
                if output.write_all(&batch).and_then(|()| output.flush()).is_err() {
                    let lost = batch.iter().filter(|byte| **byte == b'\n').count();
                    taken.dropped.fetch_add(lost as u64, Ordering::Relaxed);
                }
            }
            taken.state().ended = true;
            taken.ended.notify_all();
        })?;
        Ok(Self(lines))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.closed = true;
        self.0.work.notify_one();
        // An output that does not take what is left ends with the process.
        let _ = self.0.ended.wait_timeout_while(state, PATIENCE, |state| !state.ended);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Takes nothing until it is told to.
    struct Gate(mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl io::Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(io::Error::other)?;
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_written_in_order_and_none_is_left_at_the_end() {
        let (lines, written) = (Arc::new(LineQueue::default()), Arc::new(Mutex::new(Vec::new())));
        let (open, gate) = mpsc::channel();
        let writer = Writer::start(Arc::clone(&lines), Gate(gate, Arc::clone(&written))).unwrap();
        (0..100).for_each(|_| open.send(()).unwrap());
        let expected: String = (0..1000).map(|number| format!("{number}\n")).collect();
        expected.split_inclusive('\n').for_each(|line| lines.push(line.as_bytes()));
        drop(writer);
        assert_eq!(String::from_utf8(written.lock().unwrap().clone()).unwrap(), expected);
        assert_eq!(lines.dropped(), 0);
    }

    #[test]
    fn an_output_that_takes_nothing_holds_nobody_and_what_is_lost_is_counted() {
        let (lines, written) = (Arc::new(LineQueue::default()), Arc::new(Mutex::new(Vec::new())));
        let (open, gate) = mpsc::channel();
        let writer = Writer::start(Arc::clone(&lines), Gate(gate, written)).unwrap();
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        let sent = 3 * MOST / line.len();
        (0..sent).for_each(|_| lines.push(&line));
        let dropped = lines.dropped();
        assert!(dropped >= (MOST / line.len()) as u64, "{dropped} of {sent}");
        drop(open); // from here on the output fails
        drop(writer);
        assert_eq!(lines.dropped(), sent as u64);
    }
}
