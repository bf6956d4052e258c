#!/usr/bin/env bash
# Measures training on 2 and on 4 ranks of this machine, fits the cost model to both, and draws what it predicts.
# usage: tools/bench/ranks/measure.sh BUILD_FOLDER [CHARTS_FOLDER]
set -euo pipefail

bench=$1/bin/tapegrad_ranks_bench
charts=${2:-$(dirname "${BASH_SOURCE[0]}")/../charts}
# Within this machine nothing has to leave it; a root account, as in a container, may do so.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_btl=self,vader,tcp OMPI_MCA_btl_tcp_if_include=lo OMPI_MCA_oob_tcp_if_include=lo
export OMPI_MCA_btl_vader_single_copy_mechanism=none # ptrace may be forbidden
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mpirun --oversubscribe --bind-to none -n 2 "$bench" --seconds 25 --rounds 5 --json "$work/2.json"
mpirun --oversubscribe --bind-to none -n 4 "$bench" --seconds 12 --rounds 3 --json "$work/4.json"
"$bench" --model "$work/2.json" "$work/4.json" --svg "$charts"
