#!/usr/bin/env bash
# Tries the examples as one who has just built them: in another folder, asking for help, and wrongly.
# usage: tests/command/examples.sh FOLDER_OF_PROGRAMS EXAMPLE.cpp...
set -uo pipefail

programs=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
failures=0

# expect EXIT_CODE LINES PROGRAM ARGUMENT...: it exits so; an error is so many lines on standard error.
expect() {
  local code=$1 lines=$2
  shift 2
  "$programs/$1" "${@:2}" >out 2>err
  local got=$?
  if [ $got -ne "$code" ] || [ "$(wc -l <err)" -ne "$lines" ]; then
    echo "FAILED: $* exits with $got and says:"
    head -5 out err
    failures=$((failures + 1))
  fi
}

for source in "$@"; do
  name=$(basename "$source" .cpp)
  expect 0 0 "$name" --help
  expect 2 1 "$name" --no-such-option
  if grep -q 'tools/data/' "$source"; then expect 1 1 "$name" --data /no/such/data; fi
done
expect 0 0 iris
expect 2 1 derivatives --data "$work"
expect 2 1 iris --data
[ $failures -eq 0 ] && echo "$# examples run elsewhere."
