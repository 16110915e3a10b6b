//! The text that is printed on a terminal when the appliance is ready. The log has a line with these values.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;

use super::{output, seed};
use crate::appliance::Ready;

/// Prints the banner if standard output is a terminal.
pub fn show(ready: &Ready) {
    print(&text(ready, "Press Ctrl-C to stop."));
}

/// Prints the banner of a demonstration if standard output is a terminal.
pub fn show_demo(ready: &Ready) {
    print(&text(ready, &demo_note(ready)));
}

fn print(banner: &str) {
    if io::stdout().is_terminal() {
        // A terminal that has gone is not a reason to stop serving.
        output::print(banner).ok();
    }
}

fn demo_note(ready: &Ready) -> String {
    format!(
        "This is a demonstration with invented records of {} employees, for example those\n  with the ids 1, 17 and 42:\n\n    \
         curl '{}/api/v1/attendance/search?id=17'\n\n  Press Ctrl-C to stop; all data is then removed.",
        seed::EMPLOYEES,
        base_url(ready.listen)
    )
}

fn text(ready: &Ready, note: &str) -> String {
    let url = base_url(ready.listen);
    let rows = [
        ("API", format!("{url}/api/v1/attendance")),
        ("Docs", format!("{url}/apidocs/")),
        ("Metrics", format!("{url}/metrics")),
        ("Listening", ready.listen.to_string()),
        ("Data", ready.data_dir.display().to_string()),
        ("PostgreSQL", ready.postgres.clone()),
        ("Redis", ready.redis.clone()),
    ];
    let rows: String = rows.iter().map(|(name, value)| format!("    {name:<12}{value}\n")).collect();
    format!("\n  attendance-api {}\n\n{rows}\n  {note}\n\n", env!("CARGO_PKG_VERSION"))
}

/// The URL that a browser on this machine can open.
fn base_url(listen: SocketAddr) -> String {
    if listen.ip().is_unspecified() {
        format!("http://localhost:{}", listen.port())
    } else {
        format!("http://{listen}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_names_the_real_port() {
        let ready = Ready {
            listen: ([0, 0, 0, 0], 41234).into(),
            data_dir: "/data".into(),
            postgres: "embedded 16.14".to_owned(),
            redis: "built in".to_owned(),
        };
        let text = text(&ready, "note");
        assert!(text.contains("http://localhost:41234/apidocs/\n"), "{text}");
        assert!(text.contains("PostgreSQL  embedded 16.14\n"), "{text}");
        assert!(demo_note(&ready).contains("http://localhost:41234/api/v1/attendance/search?id=17"));
    }
}
