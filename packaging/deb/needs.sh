#!/usr/bin/env bash
# Judges what the package needs of the system it is installed on, and says so as the package's Depends.
#   packaging/deb/needs.sh BINARY POSTGRES.tar.zst
# The figures go to standard error, the dependencies to standard output. Fails when the binary or an embedded program wants a
# newer GLIBC than Ubuntu 22.04 has (2.35; the embedded programs at most 2.34), or a library that a minimal system lacks.
set -euo pipefail
export LC_ALL=C

binary=${1:?which binary}
archive=${2:?which archive of the embedded PostgreSQL}
BINARY_GLIBC=2.35
EMBEDDED_GLIBC=2.34

# What a minimal Debian or Ubuntu has (packages of priority required, or libraries they need), and the package of each.
declare -A package=(
  [libc.so.6]=libc6 [libm.so.6]=libc6 [libdl.so.2]=libc6 [libpthread.so.0]=libc6 [librt.so.1]=libc6
  [ld-linux-x86-64.so.2]=libc6 [libgcc_s.so.1]=libgcc-s1 [libz.so.1]=zlib1g
)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar --zstd -xf "$archive" -C "$work"
embedded=()
while IFS= read -r -d '' file; do
  # ELF or not: the distribution also carries text.
  if [ "$(head -c 4 "$file" | od -An -tx1)" = " 7f 45 4c 46" ]; then embedded+=("$file"); fi
done < <(find "$work" -type f -print0 | sort -z)
[ ${#embedded[@]} -gt 0 ] || { echo "needs: $archive holds no program" >&2; exit 1; }

newest_glibc() { objdump -T "$@" | grep -o 'GLIBC_[0-9.]*' | cut -c7- | sort -uV | tail -1; }
at_most() { [ "$(printf '%s\n' "$1" "$2" | sort -V | tail -1)" = "$2" ]; }
libraries() { objdump -p "$@" | awk '$1 == "NEEDED" { print $2 }' | sort -u; }

failed=0
judge() { # WHAT LIMIT FILE...
  local what=$1 limit=$2 newest name unknown=()
  shift 2
  newest=$(newest_glibc "$@")
  while read -r name; do
    [ -n "${package[$name]-}" ] && { needed[${package[$name]}]=1; system[$name]=1; continue; }
    [ -n "$(find "$work" -name "$name" -print -quit)" ] || unknown+=("$name")
  done < <(libraries "$@")
  echo "needs: $what: newest symbol GLIBC_$newest (at most $limit); libraries: $(printf '%s\n' "${!system[@]}" | sort | xargs)" >&2
  at_most "$newest" "$limit" || { echo "needs: $what wants GLIBC_$newest; build on a system with glibc $limit or older" >&2; failed=1; }
  [ ${#unknown[@]} -eq 0 ] || { echo "needs: $what wants ${unknown[*]}, which a minimal system lacks" >&2; failed=1; }
  at_most "$newest" "$glibc" || glibc=$newest
}

glibc=2.0
declare -A needed=() system=()
judge "the binary" $BINARY_GLIBC "$binary"
system=()
judge "${#embedded[@]} embedded programs and libraries" $EMBEDDED_GLIBC "${embedded[@]}"
[ $failed -eq 0 ] || exit 1

depends="libc6 (>= $glibc)"
for name in libgcc-s1 zlib1g; do
  [ -z "${needed[$name]-}" ] || depends+=", $name"
done
echo "$depends"
