//! Writes log lines without blocking their senders.
//!
//! Policy: a sender appends its line to a queue and continues; one thread writes everything queued in one call. The queue is
//! bounded in bytes (a second buffer of that size may be in writing). A line that does not fit, or that the output rejects, is dropped
//! and counted. The thread sleeps while the queue is empty and waits a moment before it writes, so that a busy server needs few
//! wake-ups and few writes.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes in the queue: about 14,000 lines.
const MAX_QUEUED_BYTES: usize = 4 << 20;
/// A buffer that grew beyond this is freed once it is written.
const MAX_KEPT_CAPACITY: usize = 256 << 10;
/// How long lines wait for others before they are written; a kill loses at most this much of the log.
const FLUSH_INTERVAL: Duration = Duration::from_millis(10);
/// How long the end of the process waits for an output that does not accept the last lines.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// The queue between the senders of lines and the thread that writes them.
#[derive(Debug, Default)]
pub struct LineQueue {
    state: Mutex<State>,
    /// Notified when the thread has something to do.
    work: Condvar,
    /// Notified when the thread has ended.
    ended: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    queued: Vec<u8>,
    is_asleep: bool,
    is_closed: bool,
    has_ended: bool,
}

impl LineQueue {
    /// Queues a line, which includes its line feed, or drops it if the queue is full.
    pub fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.queued.len() + line.len() > MAX_QUEUED_BYTES {
            drop(state);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.queued.extend_from_slice(line);
        if mem::take(&mut state.is_asleep) {
            drop(state);
            self.work.notify_one();
        }
    }

    /// The number of lines dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits for lines and takes all that are queued; `None` once the queue is closed and empty. `written` is reused as the next queue.
    fn next(&self, mut written: Vec<u8>) -> Option<Vec<u8>> {
        let mut state = self.state();
        while state.queued.is_empty() {
            if state.is_closed {
                return None;
            }
            state.is_asleep = true;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.is_closed {
            drop(state);
            thread::sleep(FLUSH_INTERVAL);
            state = self.state();
        }
        written.clear();
        if written.capacity() > MAX_KEPT_CAPACITY {
            written = Vec::new();
        }
        Some(mem::replace(&mut state.queued, written))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is a buffer of complete lines and a few flags, so a panic cannot leave it inconsistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that writes. Dropping this waits until the queue is written, at most [`SHUTDOWN_TIMEOUT`].
#[derive(Debug)]
pub struct Writer(Arc<LineQueue>);

impl Writer {
    /// Starts the thread, which writes the lines of the queue to `output`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(lines: Arc<LineQueue>, mut output: impl io::Write + Send + 'static) -> io::Result<Self> {
        let queue = Arc::clone(&lines);
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            let mut batch = Vec::new();
            while let Some(next) = queue.next(batch) {
                batch = next;
                if output.write_all(&batch).and_then(|()| output.flush()).is_err() {
                    let lost = batch.iter().filter(|byte| **byte == b'\n').count();
                    queue.dropped.fetch_add(lost as u64, Ordering::Relaxed);
                }
            }
            queue.state().has_ended = true;
            queue.ended.notify_all();
        })?;
        Ok(Self(lines))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_closed = true;
        self.0.work.notify_one();
        // What a blocked output has not accepted by then is lost with the process.
        let _ = self.0.ended.wait_timeout_while(state, SHUTDOWN_TIMEOUT, |state| !state.has_ended);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// An output that blocks until the test lets one write through.
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
    fn all_lines_are_written_in_order_by_the_time_the_writer_is_dropped() {
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
    fn a_blocked_output_does_not_block_senders_and_lost_lines_are_counted() {
        let (lines, written) = (Arc::new(LineQueue::default()), Arc::new(Mutex::new(Vec::new())));
        let (open, gate) = mpsc::channel();
        let writer = Writer::start(Arc::clone(&lines), Gate(gate, written)).unwrap();
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        let sent = 3 * MAX_QUEUED_BYTES / line.len();
        (0..sent).for_each(|_| lines.push(&line));
        let dropped = lines.dropped();
        assert!(dropped >= (MAX_QUEUED_BYTES / line.len()) as u64, "{dropped} of {sent}");
        drop(open); // from now on the output fails
        drop(writer);
        assert_eq!(lines.dropped(), sent as u64);
    }
}
