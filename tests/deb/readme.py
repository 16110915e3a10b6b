"""The commands of the README on a host with the package, as they are written there.

A block that begins with "```sh install" installs the package; one that begins with "```sh host" is for a host that has it. Each runs in a shell of its own, in a
directory that has the two files of a clone that they use. A command that fails, or an HTTP status of 400 and above, fails the step. Text in
braces at the end of a command (`# {"records":0}`) is the answer that the README promises.
"""

import re
import textwrap

import packages
from machine import ROOT
from removal import PURGE_DATA
from report import expect, step
from service import STATE, apt

README = ROOT / "README.md"
DIRECTORY = "/srv/clone"
# The README's example of a backup; the commands get the newest one of the machine.
EXAMPLE_BACKUP = f"{STATE}/backups/attendance-api-2026-01-31T120000Z.tar"
NEWEST_BACKUP = f"$(ls -t {STATE}/backups/*.tar | head -1)"


def blocks(kind):
    """Yields the line number and the text of each block of commands."""
    text = README.read_text()
    for match in re.finditer(rf"^( *)```sh {kind}\n(.*?)^\1```$", text, re.DOTALL | re.MULTILINE):
        yield text.count("\n", 0, match.start()) + 1, textwrap.dedent(match[2])


def run(machine, line, block):
    """Runs a block, and compares its output with what its comments promise."""
    script = block.replace(EXAMPLE_BACKUP, NEWEST_BACKUP)
    path = f"{DIRECTORY}/README-{line}.sh"
    machine.path(path).write_text(f"cd {DIRECTORY}\nset -ex\n{script}")
    done = machine.run(f"EDITOR=true bash {path}", 180, check=False)
    expect(done.returncode == 0, f"README.md:{line}: status {done.returncode}:", done.stdout[-1500:])
    for promised in re.findall(r"# (\{.*\})$", block, re.MULTILINE):
        expect(promised in done.stdout, f"README.md:{line}: no {promised} in", done.stdout[-1500:])


@step("every command of the README for a host with the package does what is written there")
def commands(machine):
    machine.run(f"echo '{PURGE_DATA} true' | debconf-set-selections")
    apt(machine, "purge attendance-api")
    machine.run(f"rm -rf {STATE} /etc/apt/sources.list.d/attendance-api.list && mkdir -p {DIRECTORY}/target/deb")
    machine.run(f"mv /srv/apt {DIRECTORY}/target/ && cp {packages.path(packages.VERSION)} {DIRECTORY}/target/deb/")
    machine.path("/root/.curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    install, host = list(blocks("install")), list(blocks("host"))
    expect(len(install) == 2 and len(host) > 8, "blocks:", len(install), len(host))
    for line, block in install + host:
        run(machine, line, block)
    return f"{len(install) + len(host)} blocks"
