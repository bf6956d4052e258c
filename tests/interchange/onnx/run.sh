#!/usr/bin/env bash
# Exports operations, layers and networks, validates the models with ONNX's checker (Debian's python3-onnx) and runs them in
# onnxruntime (npm's onnxruntime-node, fetched into the build folder). What is not installed is named and left out, but
# where TAPEGRAD_REQUIRE_INTERCHANGE is set: then it fails. usage: tests/interchange/onnx/run.sh EXPORT_PROGRAM BUILD_FOLDER
set -euo pipefail

export_program=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
modules=$2/onnx_modules
# In memory where that is possible: each of some thousand files is written durably.
folder=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$folder"' EXIT

missing() {
  if [ -n "${TAPEGRAD_REQUIRE_INTERCHANGE:-}" ]; then
    echo "FAILED: $1" >&2
    exit 1
  fi
  echo "SKIPPED: $1"
}

"$export_program" "$folder"

checked=no
for python in python3 /usr/bin/python3; do
  if "$python" -c 'import onnx' 2>/dev/null; then
    "$python" "$here/check_models.py" "$folder"
    checked=yes
    break
  fi
done
[ $checked = yes ] || missing "no Python with onnx; tools/setup.sh installs python3-onnx. The models were not validated."

# Fetched once for each version that is asked for.
if ! cmp -s "$here/package-lock.json" "$modules/package-lock.json" || [ ! -d "$modules/node_modules/onnxruntime-node" ]; then
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    missing "no node and npm; tools/setup.sh installs them. The models were not run."
    exit 0
  fi
  rm -rf "$modules"
  mkdir -p "$modules"
  cp "$here/package.json" "$here/package-lock.json" "$modules"
  # No scripts: what a package would run while it is installed is not needed, its library for the CPU is in the package.
  if ! (cd "$modules" && npm ci --ignore-scripts --no-audit --no-fund >npm.log 2>&1); then
    cat "$modules/npm.log"
    rm -rf "$modules"
    missing "npm could not fetch onnxruntime-node, see above. The models were not run."
    exit 0
  fi
fi
node "$here/run_models.cjs" "$modules/node_modules" "$folder"
