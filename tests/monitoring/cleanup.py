"""Ends the programs of a run, and removes its directory, when the run was killed and cannot do it itself."""

import shutil
import subprocess

# Nothing is ever written to the pipe; it ends when the run ends. A run that ended normally has already removed its directory.
SCRIPT = """
read -r _
cd "$1/children" 2>/dev/null || exit 0
for pid in *; do kill -TERM "$pid" 2>/dev/null; done
tries=0
while [ $tries -lt 100 ]; do
    left=
    for pid in *; do kill -0 "$pid" 2>/dev/null && left=yes; done
    [ -n "$left" ] || break
    sleep 0.1
    tries=$((tries + 1))
done
for pid in *; do kill -KILL -- "-$pid" 2>/dev/null; done
cd / && rm -rf "$1"
"""


class CleanupProcess:
    """A shell that waits for the end of the run. The process ids of the children are the names of the files in a directory."""

    def __init__(self, work):
        self.work, self.children = work, work / "children"
        self.children.mkdir()
        words = ["sh", "-c", SCRIPT, "cleanup", str(work)]
        # Its own session: a Ctrl-C at the terminal must reach the run only.
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def add(self, pid):
        (self.children / str(pid)).touch()

    def remove(self, pid):
        (self.children / str(pid)).unlink(missing_ok=True)

    def end(self):
        """Removes the directory after the run has stopped its children, and lets the shell end."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.process.stdin.close()
        self.process.wait(30)
