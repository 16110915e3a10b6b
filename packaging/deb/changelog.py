#!/usr/bin/env python3
"""Writes a Debian changelog from CHANGELOG.md.

Usage: changelog.py CHANGELOG.md VERSION MAINTAINER SECONDS > changelog. A version is a heading `## [1.2.3]`, optionally with its day:
`## [1.2.3] - 2026-11-26`; without one, the time given is used. The headings of kinds (`### Added`) are left out, and so is the section of
unreleased changes. VERSION comes first: the section of that version, or, if there is none, all sections after one line.
"""

import re
import sys
from datetime import datetime, timezone

path, version, maintainer, seconds = sys.argv[1:]


def sections(text):
    """Yields the version, the day or None, and the items of each section."""
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        match = re.match(r"\[([0-9][\w.+~]*)\](?: - (\d{4}-\d\d-\d\d))?\s*$", heading)
        if match:
            # The text before the first item introduces the version and is an item, too.
            items = re.split(r"^- ", re.sub(r"^### .*$", "", body, flags=re.MULTILINE), flags=re.MULTILINE)
            yield match[1], match[2], [" ".join(item.split()) for item in items if item.strip()]


def wrapped(text, width=76):
    """Formats one item as the Debian changelog requires."""
    lines, line = [], "  *"
    for word in text.split():
        if len(line) + 1 + len(word) > width:
            lines.append(line)
            line = "   "
        line += " " + word
    return "\n".join([*lines, line])


entries = list(sections(open(path, encoding="utf-8").read()))
if not entries:
    raise SystemExit(f"changelog: {path} has no section of a version")
if version not in [entry[0] for entry in entries]:
    entries.insert(0, (version, None, ["A build of the sources as they were at this time."]))
for number, (name, day, items) in enumerate(entries):
    # No two entries have equal times.
    time = datetime.fromisoformat(day).replace(tzinfo=timezone.utc).timestamp() if day else int(seconds) - number
    date = datetime.fromtimestamp(time, timezone.utc).strftime("%a, %d %b %Y %H:%M:%S +0000")
    body = "\n".join(wrapped(item) for item in items)
    print(f"attendance-api ({name}) stable; urgency=medium\n\n{body}\n\n -- {maintainer}  {date}\n")
