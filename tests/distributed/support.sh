# shellcheck shell=bash
# Part of the tests of this folder: how they start ranks, and what is checked of them.
set -uo pipefail

# shellcheck source=tools/bench/ranks/one_machine.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../tools/bench/ranks/one_machine.sh"
if ! command -v mpirun >/dev/null; then
  echo "SKIPPED: there is no mpirun (openmpi-bin)"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# ranks N COMMAND...: N of 0 starts the command without mpirun.
ranks() {
  local n=$1
  shift
  if [ "$n" -eq 0 ]; then
    timeout 300 "$@"
    return
  fi
  timeout 300 mpirun --quiet --oversubscribe --bind-to none -n "$n" "$@"
}
check() {
  local what=$1
  shift
  "$@" || { echo "FAILED: $what"; tail -q -n 5 "$work/out" "$work/err" 2>/dev/null | cut -c 1-500; failures=$((failures + 1)); }
}
# expect CODE TEXT RANKS COMMAND...: exits with 0 or (CODE "not 0") another code, and prints TEXT.
expect() {
  local code=$1 text=$2 n=$3 got=0
  shift 3
  ranks "$n" "$@" >"$work/out" 2>"$work/err" || got=$?
  [ $got -eq 0 ] && got=0 || got="not 0"
  check "$n ranks: $*: exit code $got, expected $code" [ "$got" = "$code" ]
  check "$n ranks: $*: '$text' is not in its output" grep -qE -- "$text" "$work/out" "$work/err"
}
