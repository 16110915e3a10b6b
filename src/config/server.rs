//! `server:` — limits and time-outs of the HTTP server.

use std::net::SocketAddr;
use std::time::Duration;

use super::kind::Kind;
use super::section::section;
use super::settings::Settings;
use super::units::{GIB, HOUR, KIB, MIB, MILLISECOND};

section! {
    /// The HTTP server.
    "server" {
        /// `server:` — limits and time-outs of the HTTP server. Sizes are in bytes.
        pub struct Server {
            /// IP address and port to listen on. Port 0 takes a free one, which the log names. All IPv6 and IPv4 addresses:
            /// `"[::]:8080"`
            listen: SocketAddr = "0.0.0.0:8080" => Kind::Address;
            /// Threads that handle requests, 1 to 1024. When not set: one for each processor, or one fewer if the appliance runs
            /// its own PostgreSQL, which then keeps that processor.
            workers: Option<usize> => Kind::Integer(1, 1024);
            /// Maximum number of open connections, 1 to 1000000; more wait in the listen queue.
            max_connections: usize = "10000" => Kind::Integer(1, 1_000_000);
            /// Maximum size of a request body, 1KiB to 1GiB; a larger one is answered with 413.
            max_body: usize = "1MiB" => Kind::Size(KIB, GIB), reloadable;
            /// Maximum memory for the bodies of all requests together, 64KiB to 64GiB. The first 8KiB of each body do not count. A
            /// body for which there is no room is answered with 503.
            body_budget: usize = "32MiB" => Kind::Size(64 * KIB, 64 * GIB), reloadable;
            /// Maximum size of a request head (request line and headers), 8KiB to 1MiB; a larger one is answered with 431.
            max_head: usize = "16KiB" => Kind::Size(MIN_READ_BUFFER, MIB), reloadable;
            /// A request head must be complete within this time, 100ms to 1h.
            head_timeout: Duration = "10s" => Kind::Duration(100 * MILLISECOND, HOUR), reloadable;
            /// A request body must be complete within this time, 100ms to 1h.
            body_timeout: Duration = "30s" => Kind::Duration(100 * MILLISECOND, HOUR), reloadable;
            /// A connection without a request is closed after this time, 100ms to 24h.
            idle_timeout: Duration = "75s" => Kind::Duration(100 * MILLISECOND, 24 * HOUR), reloadable;
            /// A client that reads nothing of its answer for this time is disconnected, 100ms to 1h.
            write_timeout: Duration = "30s" => Kind::Duration(100 * MILLISECOND, HOUR), reloadable;
            /// At stop, requests in flight have this time to finish, 0s to 1h.
            drain_timeout: Duration = "10s" => Kind::Duration(0, HOUR);
        }
    }
}

/// The size of hyper's smallest read buffer.
const MIN_READ_BUFFER: u64 = 8 * KIB;

/// Reads the section.
pub(super) fn resolve(settings: &mut Settings) -> Option<Server> {
    Server::read(settings)
}
