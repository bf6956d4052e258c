#!/usr/bin/env bash
# A compiler's launcher. The library is compiled in a user's project as it is by itself: an object of it is the one that
# the finished build in FINISHED has, by the same options. All other files are compiled.
# usage: finished.sh COMPILER OPTION...
set -euo pipefail

compiler=$1
options="${*:2}"
object=$(sed -E 's/.* -o ([^ ]+) .*/\1/' <<<"$options")
case $object in
  tapegrad/*) ;;
  *) exec "$@" ;;
esac
ours=$(sed -e "s| $PWD/tapegrad/| $FINISHED/|g" -e 's| tapegrad/| |g' <<<" $options")
theirs=" $(ninja -C "$FINISHED" -t commands "${object#tapegrad/}" | tail -1 | tr -d '\\')" # as the shell reads it
theirs=" ${theirs#* "$compiler" }"
if [ "$ours" != "$theirs" ]; then
  printf 'the library is compiled in a project by other options than by itself:\n%s\n%s\n' "$ours" "$theirs" >&2
  exit 1
fi
cp "$FINISHED/${object#tapegrad/}" "$object"
echo "$object:" >"$object.d"
