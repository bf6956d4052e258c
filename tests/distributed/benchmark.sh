#!/usr/bin/env bash
# Measures a little training on two ranks by the benchmark, fits the cost model to it, and asks for what both refuse.
# usage: tests/distributed/benchmark.sh RANKS_BENCH_PROGRAM
# shellcheck source=tests/distributed/support.sh
source "$(dirname "$0")/support.sh"

bench=$1
short=(--seconds 0.05 --rounds 1 --most-floats 16)

# ---- what is measured ----
expect 0 '^2 ranks, of one thread unless said otherwise' 2 "$bench" --tasks W2 "${short[@]}" --json "$work/2.json"
cat >"$work/setups" <<SETUPS
one rank
one rank, strict, 8 micro-batches
one rank of 2 threads
all ranks, strict, 2 micro-batches
no exchange, strict, 2 micro-batches
delayed, strict, 2 micro-batches
all ranks, strict, 8 micro-batches
all ranks, fast
no exchange, fast
all ranks, strict, 2 micro-batches, overlap
no exchange, strict, 2 micro-batches, overlap
delayed, strict, 2 micro-batches, overlap
all ranks, strict, 8 micro-batches, overlap
all ranks, fast, overlap
no exchange, fast, overlap
no exchange, strict, 8 micro-batches
SETUPS
check "it names all setups" diff "$work/setups" \
  <(sed -nE 's|^  (.*[^ ]) +[0-9.]+ /s +[0-9.]+ ms \([0-9.]+ ms to [0-9.]+ ms\) +[0-9.]+x$|\1|p' "$work/out")
check "rank 0 alone speaks" [ "$(grep -c '^W2, batch 100, 131210 parameters$' "$work/out")" -eq 1 ]
for summing in strict fast; do
  check "$summing: bytes by the cost model" grep -qE "^  $summing: .* a rank sends [0-9]+ bytes in [0-9]+ collectives, 1.0[0-4]" "$work/out"
done

# ---- what is predicted ----
# Without mpirun, which waits for two seconds where a process ends before it has begun with MPI.
mkdir "$work/charts"
expect 0 '^W2: a rank computes' 0 "$bench" --model "$work/2.json" --svg "$work/charts"
check "steps are compared with the model" [ "$(grep -c '^  W2 .* predicted .* measured ' "$work/out")" -eq 6 ]
check "a chart is drawn" grep -q '</svg>' "$work/charts/ranks_W2.svg"

# ---- what is refused ----
expect "not 0" 'there is no training task W9' 2 "$bench" --tasks W2,W9 "${short[@]}"
check "before anything is measured" [ ! -s "$work/out" ]
expect "not 0" 'there is no training task depth:x' 0 "$bench" --tasks depth:x "${short[@]}"
expect "not 0" 'startup has 100 items.* choose a task of two batches' 0 "$bench" --tasks startup "${short[@]}"
expect "not 0" "$work/no/2.json' cannot be created" 2 "$bench" --tasks W2 "${short[@]}" --json "$work/no/2.json"
check "before anything is measured" [ ! -s "$work/out" ]
expect "not 0" '--svg requires --model' 0 "$bench" --svg "$work/charts"
expect "not 0" '--json excludes --model' 0 "$bench" --model "$work/2.json" --json "$work/other.json"
expect "not 0" "cannot read '$work/no.json'" 0 "$bench" --model "$work/2.json" "$work/no.json"
expect "not 0" "cannot read '$work'" 0 "$bench" --model "$work"
head -c 1000 "$work/2.json" >"$work/cut.json"
expect "not 0" "'$work/cut.json': ranks: this is no measurement as --json writes it" 0 "$bench" --model "$work/cut.json"
expect 0 '^1 rank, of one thread' 0 "$bench" --tasks depth:1 "${short[@]}" --json "$work/1.json"
expect "not 0" 'no measurement is of more than one rank; measure with mpirun -n 2' 0 "$bench" --model "$work/1.json"

[ $failures -eq 0 ] && echo "Training on ranks is measured as it should be."
exit $((failures > 0))
