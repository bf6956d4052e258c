#!/usr/bin/env bash
# Makes the embedded subset of MNIST (its first 6,000 + 1,000 images, gzip IDX) from the full files.
# usage: tools/data/make_subset.sh FULL_DIR      (see tools/fetch_mnist.sh)
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: tools/data/make_subset.sh FULL_DIR" >&2; exit 1; }
out=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/mnist

# subset FILE HEADER_BYTES ITEM_BYTES COUNT: an IDX header holds the magic number, the count (big endian), the rest.
subset() {
  local file=$1 header=$2 item=$3 count=$4 hex
  printf -v hex '%08x' "$count"
  {
    head -c 4 "$file"
    printf '%b' "\\x${hex:0:2}\\x${hex:2:2}\\x${hex:4:2}\\x${hex:6:2}"
    head -c $((header + item * count)) "$file" | tail -c +9
  } | gzip -n9 >"$out/${file##*/}.gz"
}

subset "$1/train-images-idx3-ubyte" 16 784 6000
subset "$1/train-labels-idx1-ubyte" 8 1 6000
subset "$1/t10k-images-idx3-ubyte" 16 784 1000
subset "$1/t10k-labels-idx1-ubyte" 8 1 1000
