#!/usr/bin/env bash
# Builds the documentation, guide and reference, as one site: build/docs/index.html. Whatever is not documented, and a
# link that leads nowhere, is an error. usage: tools/docs/build.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tools/setup.sh
tools/setup.sh doxygen
out=$PWD/build/docs
pages=$PWD/build/docs_pages
rm -rf "$out" "$pages"
mkdir -p "$out" "$pages"

# What the reference leaves out: headers that are not installed, and those that say so.
headers=tools/cmake/include/tapegrad
excluded=("$headers"/gradcheck/*/)
while read -r header; do
  # This one has a part of the kind, which its filter leaves out.
  [ "$header" = ops/scalar/real.h ] || excluded+=("$headers/$header")
done < <(grep -Pzl "Not\s+(///\s+)?part of the library's\s+(///\s+)?interface" -r --include='*.h' graph ops nn optim |
  sort)

echo "docs: the page of every operation"
python3 -B tools/docs/functions.py >"$pages/functions"
cmake --preset release --log-level=WARNING >/dev/null
cmake --build --preset release --target every_op >"$pages/log" || { cat "$pages/log"; exit 1; }
build/release/bin/every_op "$pages/functions" >"$pages/every_op.md"

echo "docs: guide and reference"
version=$(sed -nE 's/^  VERSION ([0-9.]+)$/\1/p' CMakeLists.txt)
sed -e "s#@OUT@#$out#; s#@VERSION@#$version#; s#@PAGES@#$pages/every_op.md#" \
  -e "s#@EXCLUDED@#${excluded[*]}#; s#@DOCS@#$PWD/tools/docs#g" tools/docs/Doxyfile.in >"$pages/Doxyfile"
# Doxygen goes on where a filter fails, and leaves out what it was to give.
find -L "$headers" -name '*.h' -exec python3 tools/docs/header_filter.py {} + >/dev/null
doxygen "$pages/Doxyfile"
# Doxygen finds pictures by their names alone.
cp tools/bench/charts/*.svg "$out"
sed -i 's#"\.\./\.\./bench/charts/#"#g' "$out"/*.html
python3 tools/docs/check_links.py "$out" README.md tools/docs/guide/*.md
echo "docs: $out/index.html"
