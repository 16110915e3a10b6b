#!/usr/bin/env bash
# Determines the packages that the binary and the embedded programs depend on, for the field Depends.
#   packaging/deb/dependencies.sh BINARY POSTGRES.tar.xz
# The dependencies are written to standard output, details to standard error. It fails when the binary or an embedded program requires a newer
# GLIBC than Ubuntu 22.04 has (2.35; the embedded programs at most 2.34), or a library that a minimal system does not have.
set -euo pipefail
export LC_ALL=C

binary=${1:?which binary}
archive=${2:?which archive of the embedded PostgreSQL}
MAX_BINARY_GLIBC=2.35
MAX_EMBEDDED_GLIBC=2.34

# The libraries of a minimal Debian or Ubuntu (packages of priority required, and what they depend on), with the package of each.
declare -A package=(
  [libc.so.6]=libc6 [libm.so.6]=libc6 [libdl.so.2]=libc6 [libpthread.so.0]=libc6 [librt.so.1]=libc6
  [ld-linux-x86-64.so.2]=libc6 [libgcc_s.so.1]=libgcc-s1 [libz.so.1]=zlib1g
)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
packaging/postgres/unpack.sh "$archive" "$work"
embedded=()
while IFS= read -r -d '' file; do
  # Only ELF files: the distribution also contains text files.
  if [ "$(head -c 4 "$file" | od -An -tx1)" = " 7f 45 4c 46" ]; then embedded+=("$file"); fi
done < <(find "$work" -type f -print0 | sort -z)
[ ${#embedded[@]} -gt 0 ] || { echo "dependencies: $archive contains no program" >&2; exit 1; }

newest_glibc() { objdump -T "$@" | grep -o 'GLIBC_[0-9.]*' | cut -c7- | sort -uV | tail -1; }
at_most() { [ "$(printf '%s\n' "$1" "$2" | sort -V | tail -1)" = "$2" ]; }
libraries() { objdump -p "$@" | awk '$1 == "NEEDED" { print $2 }' | sort -u; }

failed=0
check() { # DESCRIPTION MAX_GLIBC FILE...
  local what=$1 limit=$2 newest name unknown=()
  shift 2
  newest=$(newest_glibc "$@")
  while read -r name; do
    [ -n "${package[$name]-}" ] && { needed[${package[$name]}]=1; system[$name]=1; continue; }
    [ -n "$(find "$work" -name "$name" -print -quit)" ] || unknown+=("$name")
  done < <(libraries "$@")
  echo "dependencies: $what: newest symbol GLIBC_$newest (at most $limit); libraries: $(printf '%s\n' "${!system[@]}" | sort | xargs)" >&2
  at_most "$newest" "$limit" || { echo "dependencies: $what requires GLIBC_$newest; build on a system with glibc $limit or older" >&2; failed=1; }
  [ ${#unknown[@]} -eq 0 ] || { echo "dependencies: $what requires ${unknown[*]}, which a minimal system does not have" >&2; failed=1; }
  at_most "$newest" "$glibc" || glibc=$newest
}

glibc=2.0
declare -A needed=() system=()
check "the binary" $MAX_BINARY_GLIBC "$binary"
system=()
check "${#embedded[@]} embedded programs and libraries" $MAX_EMBEDDED_GLIBC "${embedded[@]}"
[ $failed -eq 0 ] || exit 1

depends="libc6 (>= $glibc)"
for name in libgcc-s1 zlib1g; do
  [ -z "${needed[$name]-}" ] || depends+=", $name"
done
echo "$depends"
