//! Nothing outlives the test process, however it ends.
//!
//! Policy: statics are never dropped and a killed process drops nothing, so one small shell holds the reading end of a
//! pipe from us. It is told of every process that starts and ends; when the pipe closes it kills what is left, by
//! number, and removes our directory.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use super::scratch;

const SCRIPT: &str = r#"
live=" "
while read -r what pid; do
  case "$what" in
    started) live="$live$pid " ;;
    ended) live="${live%% "$pid" *} ${live#* "$pid" }" ;;
  esac
done
for pid in $live; do kill -KILL "$pid" 2>/dev/null; done
i=0
while [ "$i" -lt 20 ]; do rm -rf "$1" 2>/dev/null && break; i=$((i + 1)); sleep 0.5; done
"#;

/// Remembers that `pid` runs.
pub(crate) fn started(pid: u32) {
    tell("started", pid);
}

/// Forgets `pid`: it has been waited for.
pub(crate) fn ended(pid: u32) {
    tell("ended", pid);
}

fn tell(what: &str, pid: u32) {
    static PIPE: OnceLock<Mutex<ChildStdin>> = OnceLock::new();
    let mut pipe = PIPE.get_or_init(|| Mutex::new(launch())).lock().expect("no writer panics");
    writeln!(pipe, "{what} {pid}").expect("the reaper lives as long as we do");
}

#[expect(clippy::zombie_processes, reason = "it is there to outlive this process")]
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
