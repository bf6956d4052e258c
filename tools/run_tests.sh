#!/usr/bin/env bash
# Installs what is missing, then builds and runs all tests: an optimised build with the consumer projects, one
# with the address and undefined-behaviour sanitizers, and one with the thread sanitizer for the threaded suites.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools/setup.sh

for preset in dev asan tsan; do
  printf '\n== %s: configure and build (at %d s)\n' "$preset" "$SECONDS"
  cmake --preset "$preset" >/dev/null
  cmake --build --preset "$preset"
  printf '\n== %s: test (at %d s)\n' "$preset" "$SECONDS"
  ctest --preset "$preset"
done
