#!/usr/bin/env bash
# Installs what is missing, then builds and runs tests. See --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'END'
usage: tools/run_tests.sh [--sanitizers]
       tools/run_tests.sh --quick SUITE...
       tools/run_tests.sh --help

Without options: installs what is missing, builds everything as users install it, and runs all functional tests: the
suites, the command, the examples, the interchange with NumPy, PyTorch and ONNX, training by several processes, and a
user's projects against the library.

  --sanitizers       then also builds with the address and undefined-behaviour sanitizers and runs all suites, and with
                     the thread sanitizer and runs the suites about what threads share
  --quick SUITE...   builds what these suites need, no other suite and no program, and runs them; a suite is a file
                     tests/FOLDER/SUITE_test.cpp
END
}

wrong_use() {
  printf 'run_tests: %s; see tools/run_tests.sh --help\n' "$1" >&2
  exit 2
}

suites=()
sanitizers=no
quick=no
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --sanitizers) sanitizers=yes ;;
    --quick) quick=yes; shift; suites=("$@"); break ;;
    *) wrong_use "unknown argument '$1'" ;;
  esac
  shift
done

if [ $quick = yes ]; then
  [ $sanitizers = no ] || wrong_use "--quick and --sanitizers do not go together"
  known=$(find tests -name '*_test.cpp' -printf '%f\n' | sed 's/_test\.cpp$//' | sort)
  [ ${#suites[@]} -gt 0 ] || wrong_use "--quick needs the name of a suite, one of: $(echo $known)"
  for suite in "${suites[@]}"; do
    grep -qxF -e "$suite" <<<"$known" || wrong_use "there is no suite '$suite', only: $(echo $known)"
  done
fi

# stage NAME COMMAND...: runs the command; its time is listed at the end.
times=()
stage() {
  local name=$1 start=$SECONDS status=0
  shift
  printf '\n== %s\n' "$name"
  "$@" || status=$?
  times+=("$(printf '%5d s  %s%s' $((SECONDS - start)) "$name" "$([ $status -eq 0 ] || echo ': FAILED')")")
  [ $status -eq 0 ] || exit $status
}
trap '[ ${#times[@]} -eq 0 ] || { echo; printf "%s\n" "${times[@]}"; printf "%5d s  in all\n" $SECONDS; }' EXIT

run_suites() {
  local suite failed=()
  for suite in "${suites[@]}"; do
    echo "$suite:"
    build/dev/tests/suite_"$suite" || failed+=("$suite")
  done
  [ ${#failed[@]} -eq 0 ] || { echo "FAILED: ${failed[*]}"; return 1; }
}

# install_for_a_test WITHOUT PACKAGE...: what one test alone uses; where it cannot be had the test says so.
install_for_a_test() {
  local without=$1
  shift
  tools/setup.sh "$@" || echo "$* cannot be installed: $without"
}

# An npm that is no package of Debian's serves as well, and Debian's could not be installed beside it.
node=()
command -v node >/dev/null || node+=(nodejs)
command -v npm >/dev/null || node+=(npm)

stage "set-up" tools/setup.sh

if [ $quick = yes ]; then
  stage "configure" cmake --preset dev --log-level=WARNING
  stage "build ${suites[*]}" cmake --build --preset dev --target "${suites[@]/#/suite_}"
  stage "run ${suites[*]}" run_suites
  exit 0
fi

stage "set-up of PyTorch" install_for_a_test "files are not exchanged with it" python3-torch
stage "set-up of ONNX" install_for_a_test "models are not validated or not run" python3-onnx "${node[@]}"
stage "set-up of MPI" install_for_a_test "training by several processes is not tested" libopenmpi-dev openmpi-bin iproute2
stage "set-up of Debian packages" install_for_a_test "they are not made" dpkg-dev file
presets=(dev)
if [ $sanitizers = yes ]; then
  stage "set-up of Clang" tools/setup.sh clang libclang-rt-dev
  presets+=(asan tsan)
fi
for preset in "${presets[@]}"; do
  stage "$preset: configure" cmake --preset "$preset" --log-level=WARNING
  stage "$preset: build" cmake --build --preset "$preset"
  stage "$preset: test" ctest --preset "$preset"
done
