//! `server:` — limits and time-outs of the HTTP server.

use std::net::SocketAddr;
use std::time::Duration;

use super::base_path::BasePath;
use super::cors::{self, Cors};
use super::kind::Kind;
use super::network::Network;
use super::section::section;
use super::settings::Settings;
use super::units::{GIB, HOUR, KIB, MIB, MILLISECOND};

section! {
    /// The HTTP server.
    "server" {
        /// `server:` — limits and time-outs of the HTTP server. Sizes are in bytes.
        pub struct Server {
            resolved {
                /// Which pages of other origins may use the API.
                cors: Cors;
            }
            /// IP address and port to listen on. Port 0 takes a free one, which the log names. All IPv6 and IPv4 addresses:
            /// `"[::]:8080"`
            listen: SocketAddr = "0.0.0.0:8080" => Kind::Address;
            /// A path below which everything is served too, like /attendance, for a proxy that shows this server there and passes the whole path
            /// on. Links and redirects in answers to such requests begin with it.
            base_path: Option<BasePath> => Kind::BasePath;
            /// Threads that handle requests, 1 to 1024. When not set: one for each processor, or one fewer if the appliance runs
            /// its own PostgreSQL, which then keeps that processor.
            workers: Option<usize> => Kind::Integer(1, 1024);
            /// Maximum number of open connections, 1 to 1000000. A further client takes the place of a connection that has sent nothing, else of
            /// one without a request, the oldest first; if there is none, it waits.
            max_connections: usize = "10000" => Kind::Integer(1, 1_000_000);
            /// Maximum number of open connections from one IP address (from one /64 network of IPv6), 1 to 1000000; further ones are answered
            /// with 503. When not set: nine tenths of `max_connections`.
            max_connections_per_client: Option<usize> => Kind::Integer(1, 1_000_000), reloadable;
            /// Maximum size of a request body, 1KiB to 1GiB; a larger one is answered with 413.
            max_body: usize = "1MiB" => Kind::Size(KIB, GIB), reloadable;
            /// Maximum memory for the bodies of all requests together, 64KiB to 64GiB. The first 8KiB of each body do not count; a larger
            /// one counts as at least 64KiB, because of its connection's buffers. A body for which there is no room is answered with 503.
            body_budget: usize = "32MiB" => Kind::Size(64 * KIB, 64 * GIB), reloadable;
            /// Maximum number of lists (`search/all` without a limit) that are read from the database for one client address at the
            /// same time, 1 to 10000; all clients together may have twice as many. As many pages (with a limit) may be read beside
            /// them. A list or page that has to wait too long is answered with 503. Each list takes up to 1MiB of memory.
            max_lists: usize = "64" => Kind::Integer(1, 10_000);
            /// Maximum size of a request head (request line and headers), 8KiB to 1MiB; a larger one is answered with 431.
            max_head: usize = "16KiB" => Kind::Size(MIN_READ_BUFFER, MIB), reloadable;
            /// A new connection must send its first byte within this time, 100ms to 1h.
            first_byte_timeout: Duration = "5s" => Kind::Duration(100 * MILLISECOND, HOUR), reloadable;
            /// A request head must be complete within this time, 100ms to 1h.
            head_timeout: Duration = "10s" => Kind::Duration(100 * MILLISECOND, HOUR), reloadable;
            /// A request body must be complete within this time, 100ms to 1h.
            body_timeout: Duration = "30s" => Kind::Duration(100 * MILLISECOND, HOUR), reloadable;
            /// A connection without a request is closed after this time, 100ms to 24h.
            idle_timeout: Duration = "75s" => Kind::Duration(100 * MILLISECOND, 24 * HOUR), reloadable;
            /// A client that reads nothing of its answer for this time is disconnected, 100ms to 1h.
            write_timeout: Duration = "30s" => Kind::Duration(100 * MILLISECOND, HOUR), reloadable;
            /// Proxies in front of this server, as networks or addresses: what they say in `X-Forwarded-For` and `X-Forwarded-Proto`, or
            /// in `Forwarded`, about the client is believed. A program that connects from one of them can claim to be any client.
            trusted_proxies: Vec<Network> => Kind::Networks, reloadable;
            /// A client that reads its answer more slowly than this, in bytes per second over 60 seconds, is disconnected, 0 to 1MiB; 0 is no limit.
            /// Only the time in which the server waits for the client counts.
            min_response_rate: usize = "1KiB" => Kind::Size(0, MIB), reloadable;
            /// At stop, requests in flight have this time to finish, 0s to 1h.
            drain_timeout: Duration = "10s" => Kind::Duration(0, HOUR);
        }
    }
}

/// The size of hyper's smallest read buffer.
const MIN_READ_BUFFER: u64 = 8 * KIB;

/// Reads the section.
pub(super) fn resolve(settings: &mut Settings) -> Option<Server> {
    let cors = cors::resolve(settings);
    Server::read(settings, cors)
}
