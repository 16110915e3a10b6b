#!/usr/bin/env bash
# Builds a signed apt repository of the package: target/apt, which can be used in place (file:) or copied to any web server (http:).
#   packaging/deb/apt-repo.sh [PACKAGE.deb...]       default: the packages in target/deb
# The key is that of the file APT_KEY_FILE (a secret key without a passphrase), else the key APT_KEY_ID of gpg's own keys, else a generated one,
# which is kept in target/apt-key for later builds.
set -euo pipefail
export LC_ALL=C
umask 022
cd "$(dirname "$0")/../.."

fail() { echo "apt-repo: $*" >&2; exit 1; }
for tool in apt-ftparchive gpg; do
  command -v $tool >/dev/null || fail "the program '$tool' is missing: scripts/install-deps.sh deb installs it"
done
if [ $# -eq 0 ]; then set -- target/deb/attendance-api_*_amd64.deb; fi
[ -f "$1" ] || fail "there is no package $1: make deb builds it"

out=target/apt
work=$(mktemp -d)
# gpg starts an agent for each home directory; it must be stopped before the directory is removed.
trap 'GNUPGHOME=$work/gnupg gpgconf --kill all 2>/dev/null || true; rm -rf "$work"' EXIT

if [ -z "${APT_KEY_ID:-}" ] || [ -n "${APT_KEY_FILE:-}" ]; then
  export GNUPGHOME=$work/gnupg
  mkdir -m 0700 "$GNUPGHOME"
  key=${APT_KEY_FILE:-target/apt-key/secret.asc}
  if [ -z "${APT_KEY_FILE:-}" ] && [ ! -f "$key" ]; then
    gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-generate-key "attendance-api package archive" ed25519 sign never
    (umask 077 && mkdir -p target/apt-key && gpg --batch --quiet --armor --export-secret-keys >"$key")
    echo "apt-repo: generated a signing key, $key"
  else
    gpg --batch --quiet --import "$key" || fail "the key in $key cannot be read"
  fi
  APT_KEY_ID=$(gpg --batch --quiet --list-secret-keys --with-colons 2>/dev/null | awk -F: '$1 == "fpr" { print $10; exit }')
fi

stage=$work/apt
pool=pool/main/a/attendance-api
index=dists/stable/main/binary-amd64
mkdir -p "$stage/$pool" "$stage/$index"
cp "$@" "$stage/$pool/"
(
  cd "$stage"
  apt-ftparchive packages pool >$index/Packages
  gzip -9nk $index/Packages
  apt-ftparchive -o APT::FTPArchive::Release::Origin=attendance-api -o APT::FTPArchive::Release::Label=attendance-api \
    -o APT::FTPArchive::Release::Suite=stable -o APT::FTPArchive::Release::Codename=stable \
    -o APT::FTPArchive::Release::Architectures=amd64 -o APT::FTPArchive::Release::Components=main release dists/stable >"$work/Release"
  mv "$work/Release" dists/stable/Release
  gpg --batch --yes --quiet --local-user "$APT_KEY_ID" --clearsign --output dists/stable/InRelease dists/stable/Release
  gpg --batch --yes --quiet --local-user "$APT_KEY_ID" --armor --detach-sign --output dists/stable/Release.gpg dists/stable/Release
  gpg --batch --yes --quiet --export --output attendance-api.gpg "$APT_KEY_ID"
)
rm -rf $out
mv "$stage" $out
cat <<END
$PWD/$out: $# package(s), signed by $APT_KEY_ID
  To use it: copy attendance-api.gpg to /usr/share/keyrings/, and put this line into /etc/apt/sources.list.d/attendance-api.list
  deb [signed-by=/usr/share/keyrings/attendance-api.gpg] file:$PWD/$out stable main
END
