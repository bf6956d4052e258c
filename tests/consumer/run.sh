#!/usr/bin/env bash
# Builds a user's project against this library in every way there is: the installed package, static and shared,
# after it was moved to another folder; pkg-config and a plain compiler call; Debian packages; add_subdirectory;
# FetchContent.
# usage: tests/consumer/run.sh BUILD_DIR      a finished build of the static libraries
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source=$(cd "$here/../.." && pwd)
static_build=$(cd "$1" && pwd)
cxx=${CXX:-c++}
strict=(-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
max_bytes=9500000

# All builds stand beside the tested one, at the same depth, and are compiled with its options: the library's objects are
# the same in all of them, shared or not, and ccache, where it is installed, has them already.
work=$(mktemp -d -p "$(dirname "$static_build")" consumer-XXXXXX)
trap 'rm -rf "$work" "$work".*' EXIT
mapfile -t several_at_once < <(sed -n 's/^CMAKE_UNITY_BUILD/-D&/p' "$static_build/CMakeCache.txt")
options=(--no-warn-unused-cli -G Ninja -DCMAKE_BUILD_TYPE=Release "${several_at_once[@]}" -DTAPEGRAD_WERROR=ON)
if command -v ccache >/dev/null; then
  export CCACHE_BASEDIR=$source
  options+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
fi

step() { printf '\n-- %s\n' "$*"; }
fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# build NAME CMAKE_ARGUMENT...: builds and runs this folder's project as $work.NAME.
build() {
  local name=$1
  shift
  cmake -S "$here" -B "$work.$name" "${options[@]}" -DCMAKE_EXPORT_COMPILE_COMMANDS=ON "$@" >/dev/null
  cmake --build "$work.$name" >"$work/log" || { cat "$work/log"; fail "$name does not build"; }
  "$work.$name/consumer" || fail "$name: the program's result is wrong"
  # Only our own compile commands may carry our warnings and visibility.
  grep "$here/main.cpp" "$work.$name/compile_commands.json" >"$work/commands" || fail "$name: no command compiles main.cpp"
  if grep -E -- ' -(W|f(no-)?sanitize|fvisibility)' "$work/commands"; then
    fail "$name: the user's compile line carries flags of ours"
  fi
  # Of two plug-ins in one program each has its own library: weak are the inline functions that the user's code has, too.
  nm -D --defined-only --format=posix "$work.$name/libplugin.so" >"$work/symbols"
  if awk '$1 ~ /8tapegrad/ && $2 ~ /[TDBR]/ { print $1; found = 1 } END { exit !found }' "$work/symbols" | c++filt; then
    fail "$name: a plug-in exports the library's symbols above"
  fi
}

# ranks NAME BUILD_DIR: runs what $work.NAME has built of ranks, if that build has the library for it.
ranks() {
  if [ ! -e "$2/bin/tapegrad_mpi" ]; then
    step "NOT TESTED: ranks that are processes, which need MPI (libopenmpi-dev)"
    return
  fi
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "$work.$1/ranks" || fail "$1: the program of ranks fails"
  if ldd "$work.$1/consumer" | grep -i libmpi; then fail "$1: a program without ranks loads MPI"; fi
}

# check_gradients NAME: runs what $work.NAME has built to check a user's own op and module.
check_gradients() {
  "$work.$1/checks" --order 2 --threads 2 --format junit --output "$work/checks.xml" >"$work/log" ||
    { cat "$work/log"; fail "$1: the user's gradients do not pass"; }
  grep -E '^(softsign|Gated) .* PASS$' "$work/log"
  [ "$(grep -c '<testsuite ' "$work/checks.xml")" -eq 2 ] || fail "$1: an op and a module are two test suites"
  if "$work.$1/checks" --op no_such_op 2>"$work/log"; then fail "$1: what matches nothing passes"; fi
}

# install BUILD_DIR NAME: installs into one folder and moves the tree to $work/NAME.
install() {
  cmake --install "$1" --prefix "$work/first" >/dev/null
  mv "$work/first" "$work/$2"
  if grep -rIl -e "$work/first" -e "$source" -e "$1" "$work/$2"; then
    fail "the installed files above name folders of the machine that built them"
  fi
}

# package PREFIX OPTION...: sets flags to what pkg-config says of the library installed there, or of the package named.
package() {
  local prefix=$1 name=tapegrad
  shift
  if [ "${1#-}" = "$1" ]; then
    name=$1
    shift
  fi
  # Below the prefix lib, and in Debian's packages the folder of the architecture.
  local folder
  folder=$(find "$prefix/lib" -name "$name.pc" -printf '%h\n')
  [ -n "$folder" ] || fail "there is no $name.pc below $prefix/lib"
  read -ra flags < <(PKG_CONFIG_PATH=$folder pkg-config "$@" "$name")
}

# plain PREFIX FLAG...: a strict compiler call with those flags.
plain() {
  package "$1" --cflags --libs
  shift
  "$cxx" -std=c++20 -O2 "${strict[@]}" "$here/main.cpp" -o "$work/plain" "${flags[@]}" "$@"
  "$work/plain" || fail "pkg-config: the program's result is wrong"
}

# plain_checks PREFIX FLAG...: the same for the checker.
plain_checks() {
  package "$1" tapegrad_gradcheck --cflags --libs
  shift
  "$cxx" -std=c++20 "${strict[@]}" "$source/tools/examples/own_gradcheck.cpp" -o "$work/plain_checks" "${flags[@]}" "$@"
  "$work/plain_checks" --list >"$work/log" || { cat "$work/log"; fail "pkg-config: the checker does not start"; }
}

# documented FOLDER: it has the licence, and the documentation with all that it links to.
documented() {
  for file in copyright README.md CHANGELOG.md tools/docs/guide/index.md tools/examples/network.cpp; do
    [ -s "$1/$file" ] || fail "$file is not installed"
  done
  python3 "$source/tools/docs/check_links.py" "" "$1/README.md" "$1"/tools/docs/guide/*.md ||
    fail "the installed pages link to files that are not installed"
}

step "tests and tools without a preset are configured"
cmake -S "$source" -B "$work.plain_build" -G Ninja >"$work/log" || { cat "$work/log"; fail "without a preset"; }

step "static: find_package in the moved tree"
install "$static_build" static_prefix
build static -DCONSUME=find_package -DCMAKE_PREFIX_PATH="$work/static_prefix"
check_gradients static
ranks static "$static_build"

step "licence, documentation and examples are installed, with the pages that they link to"
documented "$work/static_prefix/share/doc/tapegrad"

step "static: pkg-config and a plain compiler call"
TIMEFORMAT=%U
seconds=$({ time plain "$work/static_prefix" 1>&2 2>"$work/log"; } 2>&1) || { cat "$work/log"; fail "it does not build"; }
echo "the ten-line program: $seconds s to compile and link"
plain_checks "$work/static_prefix"

step "static: formulas compiled with -O2 and -Ofast"
for option in -O2 -Ofast; do
  package "$work/static_prefix" --cflags
  "$cxx" -std=c++20 $option "${strict[@]}" -c "$here/fast_math.cpp" -o "$work/formulas$option.o" "${flags[@]}"
  package "$work/static_prefix" --libs
  "$cxx" "$work/formulas$option.o" -o "$work/fast_math" "${flags[@]}"
  "$work/fast_math" || fail "formulas are wrong in a file that is compiled with $option"
  # Clang knows no versions for vectors.
  if [ "$(uname -m)" = x86_64 ] && ! "$cxx" --version | grep -q clang; then
    objdump --disassemble --no-show-raw-insn "$work/fast_math" >"$work/code"
    for function in sqrt cbrt sin cos tan asin acos atan sinh cosh erf erfc log10 normal_cdf; do
      for version in dN4v eN8v; do
        grep -q "call.*<_ZGV${version}__ZN8tapegrad6detail11vector_call${#function}${function}Ed" "$work/code" ||
          fail "$function is not vectorised by $version in a file that is compiled with $option"
      done
    done
  fi
done
# Of an inline function that both have, the linker takes the one that was not optimised.
package "$work/static_prefix" --cflags --libs
"$cxx" -std=c++20 -O0 -Dmain=unoptimised "${strict[@]}" -c "$here/fast_math.cpp" -o "$work/formulas-O0.o" "${flags[@]}"
"$cxx" "$work/formulas-O0.o" "$work/formulas-O2.o" -o "$work/fast_math" "${flags[@]}"
"$work/fast_math" || fail "formulas are wrong beside a file that is not optimised"
# A library that Clang compiled has no versions for vectors, and says so.
package "$work/static_prefix" --cflags
"$cxx" -std=c++20 -O2 -DTAPEGRAD_WITHOUT_VECTOR_CALLS -c -x c++ - -o "$work/one_formula.o" "${flags[@]}" <<'END'
#include <tapegrad/ops/map.h>
tapegrad::Tensor sines(const tapegrad::Tensor& x) { return tapegrad::map([](auto v) { return sin(v); }, x); }
END
if nm --undefined-only "$work/one_formula.o" | grep _ZGV; then fail "these are called where the library has none"; fi
# The library's own flags win over those of a user's project.
cmake -S "$source" -B "$work.fast_build" "${options[@]}" -DCMAKE_UNITY_BUILD=OFF -DTAPEGRAD_BUILD_TESTS=OFF \
  -DCMAKE_CXX_FLAGS=-Ofast >/dev/null
cmake --build "$work.fast_build" --target CMakeFiles/tapegrad.dir/ops/numbers/vector_math.cpp.o >"$work/log" ||
  { cat "$work/log"; fail "the library is compiled with -ffast-math where a project is"; }

step "every installed header compiles on its own, and all of them together"
package "$work/static_prefix" --cflags
# One by one: behind another header a template finds, where it is instantiated, also what only that one includes.
find "$work/static_prefix/include" -name '*.h' -printf '%P\n' |
  xargs -P "$(nproc)" -I '{}' bash -c 'echo "#include <$0>" | "$@" -x c++ - || { echo "$0"; exit 255; }' '{}' \
    "$cxx" -std=c++20 -fsyntax-only "${strict[@]}" "${flags[@]}" || fail "a header does not; see above"
find "$work/static_prefix/include" -name '*.h' -printf '#include <%P>\n' | sort |
  "$cxx" -std=c++20 -fsyntax-only "${strict[@]}" "${flags[@]}" -x c++ - || fail "two headers define the same name"

step "every installed header tells a compiler of C++17 what is missing, in one line"
find "$work/static_prefix/include" -name '*.h' -printf '%P\n' |
  xargs -P "$(nproc)" -I '{}' bash -c 'log=$(echo "#include <$0>" | "$@" -x c++ - 2>&1)
    [ "$(grep -c "error: " <<<"$log")" -eq 1 ] && grep -q "fatal error: .\?tapegrad needs C++20: compile with -std=c++20" <<<"$log" ||
      { echo "$0: $log" | head -5; exit 255; }' '{}' \
    "$cxx" -std=c++17 -fsyntax-only "${flags[@]}" || fail "a header does not; see above"

step "shared: build, find_package in the moved tree, the installed command"
cmake -S "$source" -B "$work.shared_build" "${options[@]}" -DBUILD_SHARED_LIBS=ON -DTAPEGRAD_BUILD_TESTS=OFF >/dev/null
programs=(tapegrad_cli tapegrad_gradcheck_cli tapegrad_bench)
if [ -e "$static_build/bin/tapegrad_mpi" ]; then programs+=(tapegrad_mpi); fi
cmake --build "$work.shared_build" --target tapegrad_gradcheck "${programs[@]}" >"$work/log" ||
  { cat "$work/log"; fail "it does not build"; }
install "$work.shared_build" shared_prefix
build shared -DCONSUME=find_package -DCMAKE_PREFIX_PATH="$work/shared_prefix"
check_gradients shared
ranks shared "$work.shared_build"
"$work/shared_prefix/bin/tapegrad" --help >/dev/null || fail "the installed command does not start"
"$work/shared_prefix/bin/tapegrad" gradcheck --op relu --mode fast >/dev/null || fail "the installed command does not check"
plain "$work/shared_prefix" -Wl,-rpath,"$work/shared_prefix/lib"
package "$work/shared_prefix" --cflags --libs
"$cxx" "$work/formulas-O2.o" -o "$work/shared_formulas" "${flags[@]}" -Wl,-rpath,"$work/shared_prefix/lib"
"$work/shared_formulas" || fail "formulas are wrong in a program with the shared library"
plain_checks "$work/shared_prefix" -Wl,-rpath,"$work/shared_prefix/lib"

step "shared: size and exported symbols"
for library in tapegrad tapegrad_gradcheck; do
  file=$work/shared_prefix/lib/lib$library.so
  nm -D --defined-only --format=posix "$file" | cut -d ' ' -f 1 >"$work/symbols"
  [ -s "$work/symbols" ] || fail "$library exports nothing"
  # After _ZGV the version for vectors of a function follows.
  if grep -vE '^(_ZGV[bcde]N[0-9]+v_)?_Z[A-Z]*8tapegrad' "$work/symbols" | c++filt; then
    fail "$library exports the symbols above"
  fi
  strip "$file" -o "$work/stripped"
  bytes=$(stat --format=%s "$work/stripped")
  echo "lib$library.so: $bytes bytes stripped, $(wc -l <"$work/symbols") symbols (limit: $max_bytes)"
  [ "$bytes" -lt "$max_bytes" ] || fail "too large"
done

if command -v dpkg-shlibdeps >/dev/null && command -v file >/dev/null; then
  . "$here/packages.sh"
else
  step "NOT TESTED: Debian packages, which are made by dpkg-dev and file"
fi
rm -r "$work.shared_build"

for way in add_subdirectory FetchContent; do
  step "$way"
  FINISHED=$static_build build "$way" -DCONSUME="$way" -DTAPEGRAD_SOURCE="$source" \
    -DCMAKE_CXX_COMPILER_LAUNCHER="$here/finished.sh"
  # For one processor: its name reaches the user's files as well.
  cmake "$work.$way" -DTAPEGRAD_ISA=native >/dev/null
  grep "$here/main.cpp" "$work.$way/compile_commands.json" | grep -q -- ' -DTAPEGRAD_ISA=' ||
    fail "$way: the user's files do not know for which processor"
done

printf '\nEvery way of using the library works.\n'
