#!/usr/bin/env bash
# Unpacks what fetch.sh packed.
#   packaging/postgres/unpack.sh ARCHIVE DIRECTORY
set -euo pipefail

archive=${1:?which archive}
directory=${2:?which directory}
# xz has the filter only together with a compression, so what zstd returns is compressed and decompressed once more.
plain=(--format=raw --lzma2=preset=0)
filtered=(--format=raw --x86 --lzma2=preset=0)
zstd --quiet --decompress --stdout "$archive" | xz "${plain[@]}" --stdout | xz "${filtered[@]}" --decompress --stdout | tar -xf - -C "$directory"
