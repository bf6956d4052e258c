#!/usr/bin/env bash
# Builds the fuzz targets with Clang and lets libFuzzer work on each for so long, from the corpus and from what the library
# and NumPy write. What fails is left in build/fuzz/found and named; what is new in the corpus stays in build/fuzz/corpus.
# usage: tests/fuzz/run.sh SECONDS [TARGET...]      targets: checkpoint cifar10 csv idx npy npz onnx pytorch safetensors saved_model options; all by default
set -euo pipefail

[[ ${1:-} =~ ^[0-9]+$ ]] || { sed -n 's/^# usage: /usage: /p' "${BASH_SOURCE[0]}" >&2; exit 2; }
seconds=$1
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(checkpoint cifar10 csv idx npy npz onnx pytorch safetensors saved_model options)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source=$(cd "$here/../.." && pwd)
build=$source/build/fuzz

cmake -S "$source" -B "$build" -G Ninja --log-level=WARNING -DCMAKE_CXX_COMPILER="${CXX:-clang++}" \
  -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O1 -g1" -DTAPEGRAD_SANITIZE=fuzzer \
  -DTAPEGRAD_BUILD_TOOLS=OFF
cmake --build "$build" --target fuzz_seeds "${targets[@]/#/fuzz_}"

"$build/tests/fuzz/fuzz_seeds" "$build/seeds"
for python in python3 /usr/bin/python3; do
  if "$python" -c 'import numpy' 2>/dev/null; then "$python" "$here/seeds.py" "$build/seeds"; break; fi
done
mkdir -p "$build/found"
export UBSAN_OPTIONS=print_stacktrace=1 ASAN_OPTIONS=allocator_may_return_null=1
failed=()
for target in "${targets[@]}"; do
  printf '\n== %s\n' "$target"
  mkdir -p "$build/corpus/$target"
  longest=1024
  [ "$target" != checkpoint ] || longest=4096  # the smallest has 3 kB
  "$build/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -max_len=$longest -timeout=20 -rss_limit_mb=4096 \
    -print_final_stats=1 -verbosity=0 -artifact_prefix="$build/found/$target-" \
    "$build/corpus/$target" "$here/corpus/$target" "$build/seeds/$target" || failed+=("$target")
done
[ ${#failed[@]} -eq 0 ] || { echo "FAILED: ${failed[*]}; see $build/found"; exit 1; }
echo "Nothing was found."
