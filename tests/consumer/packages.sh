# A part of run.sh: makes the Debian packages of the shared libraries that it has built, and uses them where they are
# unpacked, in a folder with nothing else in it.
step "Debian packages: cpack"
# field PACKAGE FIELD REGEX...: each must be found among what the package's field lists, one an entry.
field() {
  local package=$1 name=$2 entry
  shift 2
  dpkg-deb --field "$packages/$package"_*.deb "$name" | sed 's/, */\n/g' >"$work/field"
  for entry; do
    grep -qxE "$entry" "$work/field" || fail "$package: $name names no '$entry': $(paste -sd , "$work/field")"
  done
}

packages=$work.shared_build
seconds=$SECONDS
cmake --preset deb -S "$source" -B "$packages" "${options[@]}" >"$work/log" || { cat "$work/log"; fail "no preset"; }
cmake --build "$packages" --target tapegrad_gradcheck tapegrad_cli tapegrad_gradcheck_cli tapegrad_bench >"$work/log" ||
  { cat "$work/log"; fail "it does not build"; }
(cd "$packages" && cpack) >"$work/log" 2>&1 || { cat "$work/log"; fail "cpack makes no packages"; }
for package in libtapegrad0.1 libtapegrad-dev tapegrad; do
  dpkg-deb --extract "$packages/$package"_*.deb "$work/debian"
  dpkg-deb --contents "$packages/$package"_*.deb | grep -v ^d | awk '{ print $6 }'
  for file in copyright changelog.Debian.gz; do
    [ -s "$work/debian/usr/share/doc/$package/$file" ] || fail "$package has no $file"
  done
done >"$work/files"
if sort "$work/files" | uniq -d | grep .; then fail "the files above are in two packages"; fi
documented "$work/debian/usr/share/doc/libtapegrad-dev"
[ -s "$work/debian/usr/share/doc/libtapegrad-dev/examples/network.cpp" ] || fail "the link to the examples leads nowhere"
if grep -rl -e "$source" -e "$packages" "$work/debian"; then
  fail "the packed files above name folders of the machine that built them"
fi

version=$(dpkg-deb --field "$packages"/tapegrad_*.deb Version)
field libtapegrad0.1 Depends 'libfmt[0-9]+.*' 'zlib1g.*' 'libstdc\+\+6.*' 'libc6.*'
field libtapegrad0.1 Recommends libopenblas0
dpkg-deb --info "$packages"/libtapegrad0.1_*.deb shlibs triggers >"$work/dynamic" ||
  fail "libtapegrad0.1 lacks a file above"
for line in "libtapegrad 0.1 libtapegrad0.1 (>= $version)" "libtapegrad_gradcheck 0.1 libtapegrad0.1 (>= $version)" \
  "activate-noawait ldconfig"; do
  grep -qxF "$line" "$work/dynamic" || fail "libtapegrad0.1 does not tell dpkg '$line'"
done
# Two of its versions can be installed at once.
if dpkg-deb --contents "$packages"/libtapegrad0.1_*.deb | grep -v ^d | awk '{ print $6 }' |
  grep -vE '\.so\.[0-9.]+$|/doc/libtapegrad0\.1/'; then
  fail "libtapegrad0.1 holds the files above, whose names are the same for all versions"
fi
field libtapegrad-dev Depends "libtapegrad0.1 \(= $version\)" libfmt-dev
field tapegrad Depends "libtapegrad0.1 \(= $version\)"
libraries=$(dirname "$(find "$work/debian/usr/lib" -name libtapegrad.so)")
for library in tapegrad tapegrad_gradcheck; do
  # The package is named by the soname that programs ask for.
  readelf -d "$libraries/lib$library.so" >"$work/dynamic"
  grep -qF "Library soname: [lib$library.so.0.1]" "$work/dynamic" || fail "lib$library.so: another soname than 0.1"
done
for file in "$libraries"/*.so "$work"/debian/usr/bin/*; do
  readelf -d "$file" >"$work/dynamic"
  if grep -E 'R(UN)?PATH' "$work/dynamic"; then fail "$file looks for libraries in folders of its own"; fi
done
if command -v lintian >/dev/null; then
  lintian --allow-root --fail-on error "$packages"/*.deb >"$work/log" 2>&1 ||
    { cat "$work/log"; fail "lintian finds errors"; }
fi
echo "made in $((SECONDS - seconds)) s: $(cd "$packages" && echo *.deb)"

step "Debian packages: find_package, pkg-config and the command of the unpacked ones"
build debian -DCONSUME=find_package -DCMAKE_PREFIX_PATH="$work/debian/usr"
check_gradients debian
plain "$work/debian/usr" -Wl,-rpath,"$libraries"
plain_checks "$work/debian/usr" -Wl,-rpath,"$libraries"
for program in consumer plain; do
  [ "$program" = plain ] && file=$work/plain || file=$work.debian/$program
  ldd "$file" >"$work/dynamic"
  grep -qF "$libraries/libtapegrad.so.0.1" "$work/dynamic" || fail "$program does not run with the packaged library"
done
LD_LIBRARY_PATH=$libraries "$work/debian/usr/bin/tapegrad" --help >/dev/null ||
  fail "the packaged command does not start"
