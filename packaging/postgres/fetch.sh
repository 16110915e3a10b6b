#!/usr/bin/env bash
# Downloads the PostgreSQL distribution that the binary embeds, and writes to target/postgres/:
#   postgres.tar.x86.zst  the trimmed distribution, packed reproducibly: a tar, on which the x86 filter of xz was used before zstd (unpack.sh)
#   manifest              version and checksums, and the directory that the appliance unpacks into
#   LICENSE               the licence texts of the packed files, for the Debian package
# It does nothing if the result of this pin and this recipe exists already. A wheel that was downloaded before
# can be used: POSTGRES_WHEEL=FILE packaging/postgres/fetch.sh
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
out=${POSTGRES_OUT:-$here/../../target/postgres}
# shellcheck source=pin.env
. "$here/pin.env"

fail() { echo "fetch.sh: $*" >&2; exit 1; }

require() { # PROGRAM DEBIAN-PACKAGE
    command -v "$1" >/dev/null || fail "the program '$1' is missing; install it: apt-get install $2"
}

sha256() { sha256sum "$1" | cut -d' ' -f1; }

recipe=$(cat "$here/fetch.sh" "$here/pin.env" "$here/LICENSE.postgresql" | sha256sum | cut -d' ' -f1)
if [ -f "$out/postgres.tar.x86.zst" ] && [ -f "$out/LICENSE" ] && grep -qx "recipe_sha256=$recipe" "$out/manifest" 2>/dev/null &&
    grep -qx "archive_sha256=$(sha256 "$out/postgres.tar.x86.zst")" "$out/manifest"; then
    exit 0
fi

[ "$(uname -m)" = x86_64 ] || fail "the embedded PostgreSQL exists for x86_64 only, this is $(uname -m); build without it, the appliance then uses an installed PostgreSQL"
require python3 python3
require sha256sum coreutils
require strip binutils
require tar tar
require readelf binutils
require xz xz-utils
require zstd zstd

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

wheel=${POSTGRES_WHEEL:-}
if [ -z "$wheel" ]; then
    python3 -m pip --version >/dev/null 2>&1 || fail "python3 has no pip; install it: apt-get install python3-pip"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --python-version 3.11 --implementation cp --abi cp311 --platform manylinux_2_28_x86_64 \
        --dest "$work/wheel" "$WHEEL_PACKAGE" || fail "cannot download $WHEEL_PACKAGE; is the package index reachable (pip config list)?"
    wheel=$(echo "$work"/wheel/*.whl)
fi
found=$(sha256 "$wheel")
[ "$found" = "$WHEEL_SHA256" ] || fail "$wheel has SHA-256 $found, expected $WHEEL_SHA256 (packaging/postgres/pin.env); not using it"

python3 -m zipfile -e "$wheel" "$work/all"
from=$work/all/$POSTGRES_PREFIX
tree=$work/tree
to=$tree/$POSTGRES_PREFIX

# The programs find their libraries by $ORIGIN/../../../NAME.libs, so the two top directories must keep their names and depth.
mkdir -p "$to/bin" "$to/lib/postgresql" "$to/share/postgresql/extension"
programs='initdb postgres pg_ctl pg_isready psql pg_checksums pg_controldata'
# For backup and restore.
programs+=' pg_dump pg_dumpall pg_restore pg_basebackup pg_receivewal pg_verifybackup'
for program in $programs; do
    cp "$from/bin/$program" "$to/bin/"
done
libs=${POSTGRES_PREFIX%%/*}.libs
mkdir -p "$tree/$libs"
# shellcheck disable=SC2086 # the pattern must expand
(cd "$work/all/$libs" && cp $POSTGRES_LIBPQ libreadline-*.so.* libtinfo-*.so.* "$tree/$libs/")

# Server modules, without the encoding conversions (everything is UTF-8) and pgvector.
find "$from/lib/postgresql" -maxdepth 1 -name '*.so' ! -name '*_and_*.so' ! -name 'euc2004_sjis2004.so' ! -name 'vector.so' \
    -exec cp -t "$to/lib/postgresql" {} +
cp "$from"/share/postgresql/*.{bki,sql,sample,txt} "$to/share/postgresql/"
rm -f "$to/share/postgresql/errcodes.txt" "$to"/share/postgresql/fix-CVE-*.sql
cp -r "$from"/share/postgresql/{timezone,timezonesets,tsearch_data} "$to/share/postgresql/"
cp "$from"/share/postgresql/extension/plpgsql* "$to/share/postgresql/extension/"

# Only the server and its modules are stripped: initdb crashes when stripped. In the other files, the sections that only debuggers read are overwritten with
# zeros instead, which take no space in the archive.
strip --strip-unneeded "$to/bin/postgres" "$to"/lib/postgresql/*.so
blank() { # FILE
    readelf --section-headers --wide "$1" | sed 's/^ *\[ *[0-9]*\] //' | while read -r name _ _ offset size _; do
        case $name in
            .symtab | .strtab | .gnu_debugdata)
                dd if=/dev/zero of="$1" bs=64K seek=$((16#$offset)) count=$((16#$size)) oflag=seek_bytes iflag=count_bytes,fullblock conv=notrunc status=none
                ;;
        esac
    done
}
for file in "$to"/bin/* "$tree/$libs"/*; do
    blank "$file"
done

find "$tree" -type d -exec chmod 0755 {} +
find "$tree" -type f -exec chmod 0644 {} +
chmod 0755 "$to"/bin/*

reported=$("$to/bin/postgres" --version) || fail "the unpacked postgres does not run here: is libz (apt-get install zlib1g) installed?"
[ "$reported" = "postgres (PostgreSQL) $POSTGRES_VERSION" ] || fail "the wheel contains '$reported', packaging/postgres/pin.env names $POSTGRES_VERSION"

tar --directory "$tree" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=ustar -cf "$work/postgres.tar" .
# The x86 filter makes calls of one function equal bytes, which saves a twelfth. xz has it only together with a compression, which is undone. xz in place of
# zstd would save as much again, but unpacking would take a quarter of a second of each first start more.
xz --format=raw --x86 --lzma2=preset=0 --stdout "$work/postgres.tar" | xz --format=raw --lzma2=preset=0 --decompress --stdout >"$work/postgres.tar.x86"
zstd --quiet --ultra -22 --single-thread "$work/postgres.tar.x86" -o "$work/postgres.tar.x86.zst"

{
    cat "$here/LICENSE.postgresql"
    echo
    echo "The binaries were built by the Python package $WHEEL_PACKAGE, whose licence follows. They carry libreadline 7 (GPL-3+)"
    echo "and libtinfo (MIT/X11) for psql, as AlmaLinux 8 ships them (source: readline-7.0-10.el8, ncurses-6.1-10.20180224.el8)."
    echo
    cat "$work"/all/*.dist-info/LICENSE
} >"$work/LICENSE"
{
    echo "version=$POSTGRES_VERSION"
    echo "bin_dir=$POSTGRES_PREFIX/bin"
    echo "wheel_sha256=$WHEEL_SHA256"
    echo "archive_sha256=$(sha256 "$work/postgres.tar.x86.zst")"
    echo "recipe_sha256=$recipe"
} >"$work/manifest"

# The manifest is copied last: it shows that the other files are complete.
mkdir -p "$out"
rm -f "$out"/manifest "$out"/postgres.tar.* # also the archive of an older recipe: everything in this directory is embedded
chmod 0644 "$work"/{postgres.tar.x86.zst,LICENSE,manifest}
cp "$work"/{postgres.tar.x86.zst,LICENSE} "$out/"
cp "$work/manifest" "$out/"
echo "PostgreSQL $POSTGRES_VERSION packed: $(cd "$out" && pwd)/postgres.tar.x86.zst, $(stat -c %s "$out/postgres.tar.x86.zst") bytes"
