"""Compresses the members of a Debian package that was built without compression (dpkg-deb -Znone), in place.

    python3 packaging/deb/recompress.py PACKAGE LEVEL

dpkg-deb has no option for the x86 filter of xz, with which the binary becomes a tenth smaller. Every dpkg that reads xz reads it, because its library
finds the filter in the header of the stream.
"""

import lzma
import sys

MAGIC = b"!<arch>\n"
HEADER_BYTES = 60


def members(package):
    """The name, header and content of each member of an ar archive."""
    assert package.startswith(MAGIC), "not a Debian package"
    position = len(MAGIC)
    while position < len(package):
        header = package[position : position + HEADER_BYTES]
        size = int(header[48:58])
        position += HEADER_BYTES
        yield header[:16].decode().strip(), header, package[position : position + size]
        position += size + size % 2


def main(path, level):
    with open(path, "rb") as file:
        package = file.read()
    code = {"id": lzma.FILTER_X86}
    dictionary = {"id": lzma.FILTER_LZMA2, "preset": level | lzma.PRESET_EXTREME}
    out = bytearray(MAGIC)
    for name, header, content in members(package):
        if name.endswith(".tar"):
            filters = [code, dictionary] if name.startswith("data") else [dictionary]
            content = lzma.compress(content, check=lzma.CHECK_CRC32, filters=filters)
            name += ".xz"
        out += name.encode().ljust(16) + header[16:48] + str(len(content)).encode().ljust(10) + header[58:]
        out += content + b"\n" * (len(content) % 2)
    with open(path, "wb") as file:
        file.write(out)


main(sys.argv[1], int(sys.argv[2]))
