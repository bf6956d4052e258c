#!/usr/bin/env bash
# Installs Debian packages that are missing; without arguments, everything needed to build, test and train.
# usage: tools/setup.sh [PACKAGE...]
set -euo pipefail

if [ $# -eq 0 ]; then
  set -- g++ cmake ninja-build ccache pkg-config gzip \
    libopenblas-dev zlib1g-dev nlohmann-json3-dev libfmt-dev libcli11-dev libboost-test-dev python3 python3-numpy
fi

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  echo "setup: no apt-get here; going on in the hope that these are installed: $*" >&2
  exit 0
fi

missing=()
for package in "$@"; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "setup: not root and no sudo. As root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "setup: installing ${missing[*]}"
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >/dev/null; }
if ! apt update || ! apt install --yes --no-install-recommends "${missing[@]}"; then
  echo "setup: could not install ${missing[*]}; see the messages above" >&2
  exit 1
fi
