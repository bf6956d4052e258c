# shellcheck shell=bash
# What the scripts that use the tapegrad command have in common. They include it, with their two arguments:
# TAPEGRAD_COMMAND MNIST_FOLDER
set -uo pipefail

tapegrad=$1
mnist=$2
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
failures=0

# expect EXIT_CODE TEXT ARGUMENT...: the command exits so, and TEXT (a regular expression) is in what it prints; an
# error is one line on standard error and nothing on standard output.
expect() {
  local code=$1 text=$2
  shift 2
  "$tapegrad" "$@" >"$work/out" 2>"$work/err"
  local got=$?
  local problem=
  [ "$got" -eq "$code" ] || problem="exit code $got, expected $code"
  grep -qE -- "$text" "$work/out" "$work/err" || problem+="; '$text' is not in its output"
  if [ "$code" -eq 2 ]; then
    [ "$(wc -l <"$work/err")" -eq 1 ] && [ ! -s "$work/out" ] || problem+="; an error is not one line on standard error"
  fi
  if [ -n "$problem" ]; then
    echo "FAILED: tapegrad $*: ${problem#; }"
    head -5 "$work/out" "$work/err"
    failures=$((failures + 1))
  fi
}

check() {
  local what=$1
  shift
  "$@" || { echo "FAILED: $what"; failures=$((failures + 1)); }
}

train=(train --data "$mnist" --out "$work/run" --force)

# interrupt SIGNAL UNTIL ARGUMENT...: starts the command, and sends it the signal once UNTIL holds; returns what it exits
# with. What it prints is in $work/out.
interrupt() {
  local signal=$1 until=$2
  shift 2
  : >"$work/out"  # what another run has printed would tell that this one has begun
  "$tapegrad" "$@" >"$work/out" 2>&1 &
  local pid=$!
  for _ in $(seq 1000); do eval "$until" && break; sleep 0.02; done
  kill -"$signal" "$pid"
  wait "$pid" 2>/dev/null
}

# finish TEXT: says it, and exits with 0, where nothing has failed.
finish() {
  [ "$failures" -eq 0 ] && echo "$1"
  exit $((failures > 0))
}
