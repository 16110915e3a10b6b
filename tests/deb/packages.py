"""The packages that the steps install: the one of this tree, an older one, and one that must be refused."""

import re
import shutil

from machine import ROOT, WORK, call

PACKAGES = WORK / "packages"
VERSION = re.search(r'\[workspace\.package\][^\[]*?version = "([^"]+)"', (ROOT / "Cargo.toml").read_text())[1]
OLDER = "0.0.1"
OTHER_MAJOR = "99.0.0"
NAME = "attendance-api_{}_amd64.deb"
BUILD = ROOT / "packaging/deb/build.sh"


def make():
    """Builds the packages."""
    shutil.rmtree(PACKAGES, ignore_errors=True)
    call([BUILD, "--out", PACKAGES], 600)
    call([BUILD, "--out", PACKAGES, "--version", OLDER, "--level", "0"], 600)
    add_conffile(PACKAGES / NAME.format(OLDER))
    call([BUILD, "--out", PACKAGES, "--version", OTHER_MAJOR, "--postgres-major", "17", "--level", "0"], 600)


def add_conffile(package):
    """Makes the configuration a conffile, with every key in it, as it was in version 0.1.0."""
    root = PACKAGES / "older"
    call(["dpkg-deb", "-R", package, root], 60)
    template = root / "usr/share/doc/attendance-api/examples/config.yaml"
    (root / "etc/attendance-api").mkdir(parents=True)
    shutil.copy(template, root / "etc/attendance-api/config.yaml")
    (root / "DEBIAN/conffiles").write_text("/etc/attendance-api/config.yaml\n")
    call(["dpkg-deb", "--root-owner-group", "-z0", "-Zxz", "--build", root, package], 120)
    shutil.rmtree(root)


def put(machine):
    """Copies the packages and the repository of this tree's package into the machine: /srv/packages and /srv/apt."""
    call([ROOT / "packaging/deb/apt-repo.sh", PACKAGES / NAME.format(VERSION)], 120)
    call(["cp", "-r", ROOT / "target/apt", machine.path("/srv/apt")], 60)
    call(["cp", "-r", PACKAGES, machine.path("/srv/packages")], 60)


def path(version):
    """Returns the path of a package inside the machine."""
    return f"/srv/packages/{NAME.format(version)}"


def add_source(machine, address):
    """Adds the repository to the machine's apt, with the commands of the README."""
    machine.run("cp /srv/apt/attendance-api.gpg /usr/share/keyrings/")
    line = f"deb [signed-by=/usr/share/keyrings/attendance-api.gpg] {address} stable main"
    machine.path("/etc/apt/sources.list.d/attendance-api.list").write_text(line + "\n")
    machine.run("apt-get update 2>&1 && ! apt-get update 2>&1 | grep -E '^(W|E):'")
