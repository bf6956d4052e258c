#!/usr/bin/env bash
# Measures training on 2 and on 4 ranks of this machine, fits the cost model to both, and draws what it predicts.
# usage: tools/bench/ranks/measure.sh BUILD_FOLDER [CHARTS_FOLDER]
set -euo pipefail

bench=$1/bin/tapegrad_ranks_bench
charts=${2:-$(dirname "${BASH_SOURCE[0]}")/../charts}
# shellcheck source=tools/bench/ranks/one_machine.sh
source "$(dirname "${BASH_SOURCE[0]}")/one_machine.sh"
mkdir -p "$charts"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mpirun --oversubscribe --bind-to none -n 2 "$bench" --seconds 25 --rounds 5 --json "$work/2.json"
mpirun --oversubscribe --bind-to none -n 4 "$bench" --seconds 12 --rounds 3 --json "$work/4.json"
"$bench" --model "$work/2.json" "$work/4.json" --svg "$charts"
