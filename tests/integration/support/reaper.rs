//! Ends all child processes when the test process ends, in any way.
//!
//! Policy: Rust does not drop statics, and a killed process drops nothing. So a small shell reads a pipe from the test
//! process, which reports each child that starts or ends. When the pipe closes, the shell kills the remaining children
//! by process id and removes the tests' directory.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use super::scratch;

const SCRIPT: &str = r#"
live=" "
while read -r what pid; do
  case "$what" in
    register) live="$live$pid " ;;
    unregister) live="${live%% "$pid" *} ${live#* "$pid" }" ;;
  esac
done
for pid in $live; do kill -KILL "$pid" 2>/dev/null; done
i=0
while [ "$i" -lt 20 ]; do rm -rf "$1" 2>/dev/null && break; i=$((i + 1)); sleep 0.5; done
"#;

/// Reports that the child `pid` runs.
pub(crate) fn register(pid: u32) {
    send("register", pid);
}

/// Reports that the child `pid` has been waited for.
pub(crate) fn unregister(pid: u32) {
    send("unregister", pid);
}

fn send(what: &str, pid: u32) {
    static PIPE: OnceLock<Mutex<ChildStdin>> = OnceLock::new();
    let mut pipe = PIPE.get_or_init(|| Mutex::new(launch())).lock().expect("no writer panics");
    writeln!(pipe, "{what} {pid}").expect("the reaper lives as long as we do");
}

#[expect(clippy::zombie_processes, reason = "it must outlive this process")]
fn launch() -> ChildStdin {
    let mut reaper = Command::new("sh")
        .args(["-c", SCRIPT, "reaper"])
        .arg(scratch::base())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("there is a shell");
    reaper.stdin.take().expect("its standard input is piped")
}
