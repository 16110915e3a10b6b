#!/usr/bin/env python3
"""Writes the copyright file of the package: the appliance, PostgreSQL with its libraries, Swagger UI, and every crate that is linked.

Usage: copyright.py ROOT < METADATA > copyright, where METADATA is the output of `cargo metadata`. Equal input gives equal output. A
crate whose licence has no text in licenses/ (and none in /usr/share/common-licenses) is an error, so no crate is shipped without one.
"""

import json
import pathlib
import re
import sys

LICENSES = pathlib.Path(__file__).parent / "licenses"
# Debian and Ubuntu have these texts in /usr/share/common-licenses.
COMMON = {"Apache-2.0": "Apache-2.0", "CC0-1.0": "CC0-1.0", "MPL-2.0": "MPL-2.0", "GPL-2.0-only": "GPL-2", "GPL-3+": "GPL-3"}
NOTICE_FILES = re.compile(r"^(licen[cs]e|copying|copyright|notice)", re.IGNORECASE)
NOTICE = re.compile(r"^\W*(?:portions\s+)?copyright\b[\s:]*(?:(?:\(c\)|©|&copy;)\s*)*(.*\S)", re.IGNORECASE)
# Lines that belong to the licence texts themselves or to their instructions for use.
NOT_A_NOTICE = re.compile(
    r"\[|<year>|Free Software Foundation|\{|^(notice|owner|holder|license|licence|law|and|or|statement|interest|in|to|by|disclaimer|if|is)\b", re.IGNORECASE
)

HEADER = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: attendance-api
Comment: The program is linked statically with the Rust crates named crates/... below, and carries a PostgreSQL
 distribution (postgresql/...) and the web page Swagger UI (swagger-ui/...).

Files: *
Copyright: 2026 the authors of attendance-api
License: Apache-2.0

Files: postgresql/*
Copyright: 1996-2026 PostgreSQL Global Development Group
 1994 The Regents of the University of California
License: PostgreSQL

Files: postgresql/libreadline*
Copyright: 1987-2017 Free Software Foundation, Inc.
License: GPL-3+
Comment: Used by psql alone. As AlmaLinux 8 ships it; its source is the source package readline-7.0-10.el8 there.

Files: postgresql/libtinfo*
Copyright: 1998-2018 Free Software Foundation, Inc.
License: X11
Comment: Used by psql alone. As AlmaLinux 8 ships it; its source is the source package ncurses-6.1-10.20180224.el8 there.

Files: swagger-ui/*
Copyright: 2020-2026 SmartBear Software Inc.
License: Apache-2.0
"""


def linked(metadata):
    """Returns the packages that are part of the program: normal dependencies, without those of build scripts and tests."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    seen, waiting = set(), [metadata["resolve"]["root"]]
    while waiting:
        identity = waiting.pop()
        if identity in seen:
            continue
        seen.add(identity)
        waiting += [dep["pkg"] for dep in nodes[identity]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
    crates = [packages[identity] for identity in seen if packages[identity]["source"]]
    return sorted(crates, key=lambda crate: (crate["name"], crate["version"]))


def alternatives(expression):
    """Parses an SPDX expression into a list (all apply) of lists (one may be chosen)."""
    groups = [[]]
    depth = 0
    for word in re.findall(r"[()]|[^\s()/]+|/", expression):
        if word in "()":
            depth += 1 if word == "(" else -1
        elif word == "AND":
            groups.append([])
        elif word not in ("OR", "/"):
            groups[-1].append(word)
    chosen = []
    for group in groups:
        # "Apache-2.0 WITH LLVM-exception" is always one of several alternatives; the others suffice.
        while "WITH" in group:
            at = group.index("WITH")
            del group[at - 1 : at + 2]
        if sorted(set(group)) not in chosen:
            chosen.append(sorted(set(group)))
    if not all(chosen):
        raise SystemExit(f"copyright: the licence '{expression}' cannot be parsed")
    return chosen


def notices(crate):
    """Returns the copyright lines of a crate's licence files, else its authors."""
    directory = pathlib.Path(crate["manifest_path"]).parent
    found = set()
    for path in sorted(directory.rglob("*")):
        if not NOTICE_FILES.match(path.name) or not path.is_file() or path.suffix in (".rs", ".go", ".py", ".c", ".h"):
            continue
        for line in path.read_text(errors="replace").splitlines():
            match = NOTICE.match(line)
            if match and not NOT_A_NOTICE.search(match[1]) and re.search(r"[A-Za-z]{2}", match[1]):
                found.add(re.sub(r"\s+", " ", match[1]).rstrip("*/ "))
    return sorted(found) or crate["authors"] or [f"the authors of {crate['name']}"]


def indented(text):
    """Indents a text as the value of a field."""
    return "".join(f" {line.rstrip()}\n" if line.strip() else " .\n" for line in text.strip("\n").splitlines())


def paragraph(name, root):
    """Returns the stand-alone paragraph of a licence."""
    if name == "PostgreSQL":
        text = (root / "packaging/postgres/LICENSE.postgresql").read_text()
        text = text[text.index("Permission to use") :]
    elif name in COMMON:
        text = f"The text of this licence is in /usr/share/common-licenses/{COMMON[name]} on Debian and Ubuntu systems."
        if name == "GPL-3+":
            text = "This may be used under version 3 of the GNU General Public License or any later one.\n" + text
    elif (LICENSES / name).is_file():
        text = (LICENSES / name).read_text()
    else:
        raise SystemExit(f"copyright: there is no text of the licence {name}; put it into {LICENSES}")
    return f"License: {name}\n{indented(text)}"


def main():
    root = pathlib.Path(sys.argv[1])
    used = {"Apache-2.0", "PostgreSQL", "GPL-3+", "X11"}
    paragraphs = [HEADER]
    for crate in linked(json.load(sys.stdin)):
        if not crate["license"]:
            raise SystemExit(f"copyright: {crate['name']} {crate['version']} names no licence")
        groups = alternatives(crate["license"])
        used.update(name for group in groups for name in group)
        expression = ", and ".join(" or ".join(group) for group in groups)
        lines = "\n ".join(notices(crate))
        paragraphs.append(f"Files: crates/{crate['name']}-{crate['version']}/*\nCopyright: {lines}\nLicense: {expression}\n")
    paragraphs += [paragraph(name, root) for name in sorted(used)]
    print("\n".join(paragraphs), end="")


main()
