#!/usr/bin/env bash
# Installs what is missing, builds the command for this processor, brings MNIST and trains the two-layer network on it.
# usage: tools/train_mnist.sh [OPTION...]     options of `tapegrad train` for this network; they replace the ones below.
#                                            Another network is trained by build/native/bin/tapegrad train itself.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

train=(--model two-layer --hidden 50 --activation relu --init std:0.01 --optimizer sgd --lr 0.1
  --batch 100 --iterations 10000 --seed 0 --out "$root/build/mnist")

# given OPTION: whether the caller chose this one.
options=("$@")
given() {
  local option
  for option in "${options[@]}"; do
    [[ $option == "$1" || $option == "$1="* ]] && return 0
  done
  return 1
}

"$root/tools/setup.sh"
echo "train_mnist: building the library and the command; the first time this takes some 5 minutes of processor time"
start=$SECONDS
(
  cd "$root"
  cmake --preset native >/dev/null
  cmake --build --preset native --target tapegrad_cli
)
echo "train_mnist: built in $((SECONDS - start)) s"

if ! given --data; then
  data=$root/build/data/mnist
  if ! "$root/tools/fetch_mnist.sh" "$data"; then
    data=$root/tools/data/mnist
    cat >&2 <<-MESSAGE

	*** The full MNIST could not be fetched. Training on the embedded SUBSET instead: 6,000 + 1,000 images.
	*** Accuracies are lower than those of the full data set.

	MESSAGE
  fi
  set -- --data "$data" "$@"
fi

for ((i = 0; i < ${#train[@]}; i += 2)); do
  option=${train[i]}
  if ! given "$option" && ! { [ "$option" = --iterations ] && given --epochs; }; then
    set -- "$@" "$option" "${train[i + 1]}"
  fi
done
# The script's own folder may be written again.
if ! given --out && ! given --force; then set -- "$@" --force; fi
exec "$root/build/native/bin/tapegrad" train "$@"
