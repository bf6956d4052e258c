#!/usr/bin/env bash
# Exports operations, layers and networks, validates the models with ONNX's checker (Debian's python3-onnx), and runs
# them in onnxruntime (npm's onnxruntime-node, fetched into the build folder). Where a tool is missing it says so, does
# the rest, and ends with 77, which ctest calls skipped.
# usage: tests/interchange/onnx/run.sh EXPORT_PROGRAM BUILD_FOLDER
set -euo pipefail

export_program=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
modules=$2/onnx_modules
# In memory where that is possible: each of some thousand files is written durably.
folder=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$folder"' EXIT
status=0

skip() {
  echo "SKIPPED: $1"
  status=77
}

validate() {
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -c 'import onnx' 2>/dev/null; then
      "$python" "$here/check_models.py" "$folder"
      "$python" "$here/foreign.py" "$export_program" "$folder/foreign"
      "$python" "$here/foreign_windows.py" "$export_program" "$folder/windows"
      "$python" "$here/node_cases.py" "$export_program" "$folder/nodes"
      return
    fi
  done
  skip "the models are not validated: no Python with onnx; 'tools/setup.sh python3-onnx' installs Debian's"
}

# Fetches onnxruntime once for each version that is asked for.
fetch_runtime() {
  cmp -s "$here/package-lock.json" "$modules/fetched" && return
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    skip "the models are not run: no node and npm; 'tools/setup.sh nodejs npm' installs Debian's"
    return
  fi
  rm -rf "$modules"
  mkdir -p "$modules"
  cp "$here/package.json" "$here/package-lock.json" "$modules"
  # No scripts: what a package would run while it is installed is not needed, the library for the CPU is in the package.
  if (cd "$modules" && npm ci --ignore-scripts --no-audit --no-fund >npm.log 2>&1); then
    cp "$here/package-lock.json" "$modules/fetched"
  else
    cat "$modules/npm.log"
    skip "the models are not run: npm could not fetch onnxruntime-node, see above"
  fi
}

"$export_program" "$folder"
validate
fetch_runtime
if [ -e "$modules/fetched" ]; then
  for of in "$folder" "$folder/windows"; do
    if [ -e "$of/cases.json" ]; then node "$here/run_models.cjs" "$modules/node_modules" "$of"; fi
  done
fi
exit $status
