#!/usr/bin/env bash
# Each program in the README, marked <!-- tools/examples/NAME.cpp -->, is that file, which the build compiles and the tests
# run. usage: tests/readme/run.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

mapfile -t programs < <(sed -nE 's/^<!-- (tools\/examples\/[a-z_]+\.cpp) -->$/\1/p' README.md)
[ ${#programs[@]} -ge 3 ] || { echo "FAILED: the README shows ${#programs[@]} programs"; exit 1; }
for program in "${programs[@]}"; do
  block=$(awk -v mark="<!-- $program -->" '
    $0 == mark { found = 1; next }
    found && /^```cpp$/ { inside = 1; next }
    inside && /^```$/ { exit }
    inside { print }' README.md)
  diff <(printf '%s\n' "$block") "$program" || { echo "FAILED: the README's $program is not the file"; exit 1; }
done
echo "${#programs[@]} programs in the README are the ones that are built."
