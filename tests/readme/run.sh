#!/usr/bin/env bash
# Each program in README.md and the guide, marked <!-- tools/examples/NAME.cpp -->, is that file, which the build compiles
# and the tests run. usage: tests/readme/run.sh [FILE.md...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[ $# -gt 0 ] || set -- README.md tools/docs/guide/*.md

for page in "$@"; do
  mapfile -t programs < <(sed -nE 's/^<!-- (tools\/examples\/[a-z_]+\.cpp) -->$/\1/p' "$page")
  [ "$page" != README.md ] || [ ${#programs[@]} -ge 3 ] ||
    { echo "FAILED: the README shows ${#programs[@]} programs"; exit 1; }
  for program in "${programs[@]}"; do
    block=$(awk -v mark="<!-- $program -->" '
      $0 == mark { found = 1; next }
      found && /^```cpp$/ { inside = 1; next }
      inside && /^```$/ { exit }
      inside { print }' "$page")
    diff <(printf '%s\n' "$block") "$program" || { echo "FAILED: $program in $page is not the file"; exit 1; }
  done
  echo "$page: ${#programs[@]} programs are the ones that are built."
done
