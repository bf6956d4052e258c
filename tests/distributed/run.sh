#!/usr/bin/env bash
# Trains on ranks that mpirun starts on this machine, right and wrong: equal bits for any number of them, what ends all,
# what is gone on from. Then between two network namespaces, over TCP, where they may be made.
# usage: tests/distributed/run.sh CHECKS_PROGRAM TAPEGRAD_COMMAND MNIST_FOLDER
# shellcheck source=tests/distributed/support.sh
source "$(dirname "$0")/support.sh"

checks=$1
tapegrad=$2
mnist=$3

# ---- the communicator ----
for n in 1 2 3 4; do
  expect 0 "exchange holds on $n ranks" $n "$checks" exchange
  expect 0 "average holds on $n ranks" $n "$checks" average
  expect 0 "synchronised holds on $n ranks" $n "$checks" synchronised
done
expect 0 'mpi: it is finalised, and cannot be initialised again' 2 "$checks" twice
"$checks" exchange >"$work/out" 2>&1
check "without mpirun it is the only rank" grep -q 'exchange holds on 1 ranks' "$work/out"

# ---- equal bits ----
expect 0 'trainers holds' 1 "$checks" trainers
mv "$work/out" "$work/one"
for n in 2 3 4; do
  expect 0 'trainers holds' $n "$checks" trainers
  check "a trainer has other bits on $n ranks" cmp <(head -1 "$work/one") <(head -1 "$work/out")
done

train=("$tapegrad" train --data "$mnist" --distributed --force)
# equal NAME TIMES ARGUMENT...: leaves a run of one rank as NAME, with the weights of runs of 2 and 4.
equal() {
  local name=$1
  shift
  expect 0 'parameters and history are in' 1 "${train[@]}" --out "$work/$name" "$@"
  for n in 2 4; do
    expect 0 "^$n ranks? of 1 thread, 8 micro-batches" $n "${train[@]}" --out "$work/$name-$n" "$@"
    check "progress comes from rank 0 alone" [ "$(grep -c ' train loss ' "$work/out")" -eq "$(grep -c '^[0-9]' "$work/$name/history.csv")" ]
    check "$name: other weights on $n ranks" cmp "$work/$name/parameters.safetensors" "$work/$name-$n/parameters.safetensors"
    # But for times.
    check "$name: another history on $n ranks" cmp <(sed 's/,[^,]*,[^,]*$//' "$work/$name/history.csv") \
      <(sed 's/,[^,]*,[^,]*$//' "$work/$name-$n/history.csv")
  done
}
equal mlp --iterations 30
long=(--batch-norm --dropout 0.2 --optimizer adam --lr 0.01 --validation 0.1 --clip 1 --batch 300)
equal normalised "${long[@]}" --epochs 3
equal cnn --model simple-conv --iterations 6 --batch 40
expect 0 '^2 ranks of 2 threads' 2 "${train[@]}" --out "$work/threads" --iterations 30 --threads 2
check "other weights with two threads a rank" cmp "$work/mlp/parameters.safetensors" "$work/threads/parameters.safetensors"
expect 0 '^2 ranks of 1 thread, fast' 2 "${train[@]}" --distributed=fast --out "$work/fast" --iterations 20

# Batch norm over all ranks: the loss of a training without any, but for rounding, on however many it begins and goes on.
sync=(--batch-norm --distributed=fast --sync-batch-norm)
expect 0 'parameters and history are in' 0 "$tapegrad" train --data "$mnist" --batch-norm --epochs 2 --out "$work/whole"
expect 0 '^2 ranks of 1 thread, fast, batch norm over all ranks' 2 "${train[@]}" "${sync[@]}" --out "$work/sync" \
  --epochs 1 --checkpoint-every 60
expect 0 'goes on from' 3 "$tapegrad" train --resume "$work/sync" --epochs 2
losses() { awk -F, 'NR > 1 { printf "%s %.3f\n", $2, $3 }' "$work/$1/history.csv"; }
check "batch norm over all ranks is not that of the whole batch: $(losses sync), $(losses whole)" \
  diff <(losses whole) <(losses sync)

# ---- what is wrong ----
# Seconds are many where the machine has other work: on one that has none, all end within two.
# fails TEXT RANKS COMMAND...: all ranks end within a minute, not with 0, and print TEXT.
fails() {
  local start=$SECONDS
  expect "not 0" "$@"
  check "$*: took $((SECONDS - start)) s to end" [ $((SECONDS - start)) -lt 60 ]
}
once() { check "$1 is told once" [ "$(grep -cE -- "$1" "$work/err")" -eq 1 ]; }
fails 'rank 2 of 4 has failed: the disk is away' 4 "$checks" fail 2
once 'has failed'
fails 'rank 0 of 3 has failed: the disk is away' 3 "$checks" fail 0
once 'has failed'
fails "rank 0 of 4 has failed: there is no 'data.csv'" 4 "$checks" all-fail
once 'has failed'
fails "average: the ranks differ: parameter 'weight' is f32 \[3, 4\] on ranks 0, 2, f32 \[3, 5\] on rank 1" 3 "$checks" differ
once 'has failed'
fails '^left$' 2 "$checks" leave 1
fails '8 micro-batches for 9 ranks' 9 "${train[@]}" --out "$work/many"
once 'has failed'
# What is refused leaves nothing that the next run would have to replace.
fails 'a batch of 1 in training.*; this was micro-batch . of 8, with 1 of the 9 items of a batch' 2 "${train[@]:0:5}" --out "$work/many" \
  --layers flatten,affine:10,batch-norm --batch 9
expect 0 'parameters and history are in' 2 "${train[@]:0:5}" --out "$work/many" --iterations 2
fails '--micro-batches: with --distributed=fast there is one for each rank' 2 "${train[@]}" --distributed=fast --micro-batches 4 --out "$work/no"
fails 'mpirun has started 2 of this command, and each trains by itself; --distributed makes them ranks' 2 \
  "$tapegrad" train --data "$mnist" --out "$work/apart"
# What neither names nor shapes nor the first rate tell.
same=("${train[@]}" --out "$work/no" --iterations 20)
for other in '--schedule cosine' '--activation tanh'; do
  # shellcheck disable=SC2086 # an option and its value
  fails "train: the ranks differ: ${other% *} is [a-z]* on rank 0, ${other#* } on rank 1" 1 "${same[@]}" : -n 1 "${same[@]}" $other
done
expect 0 'parameters and history are in' 1 "${same[@]}" : -n 1 "${same[@]}" --threads 2
fails 'give --distributed=fast' 2 "${train[@]}" --out "$work/no" --batch-norm --sync-batch-norm
fails 'the network has no batch norm' 2 "${train[@]}" --out "$work/no" --distributed=fast --sync-batch-norm
fails '--sync-batch-norm requires --distributed' 2 "$tapegrad" train --data "$mnist" --out "$work/no" --sync-batch-norm
fails 'no-such-option' 4 "${train[@]}" --no-such-option
once 'no-such-option'
PMI_RANK=3 "$tapegrad" train --no-such-option >"$work/out" 2>"$work/err"
check "a command that is no rank is told, too" grep -q 'no-such-option' "$work/err"
# A fresh start beside one that goes on.
again=("${train[@]}" --iterations 20 --checkpoint-every 10)
expect 0 'parameters and history are in' 1 "${again[@]}" --out "$work/again"
fails 'train: the ranks differ: --resume is given on rank 0, not given on rank 1' 1 \
  "$tapegrad" train --distributed --resume "$work/again" : -n 1 "${again[@]}" --out "$work/no"
fails "no-such-folder" 2 "$tapegrad" train --data "$work/no-such-folder" --distributed --out "$work/no"
once 'has failed'

# begin NAME: a long training on 4 ranks, which has saved checkpoints when this returns; `victim` is one of the ranks.
begin() {
  ranks 4 "${train[@]}" "${long[@]}" --out "$work/$1" --checkpoint-every 2 --epochs 3000 >"$work/out" 2>"$work/err" &
  mpirun_pid=$!
  for _ in $(seq 10000); do [ "$(ls "$work/$1/checkpoints" 2>/dev/null | wc -l)" -ge 2 ] && break; sleep 0.02; done
  # The folder's name is in their command lines alone, and in mpirun's.
  victim=$(pgrep -af -- "$work/$1" | grep -v mpirun | tail -1 | cut -d ' ' -f 1)
  check "there is a rank to end" [ -n "$victim" ]
  start=$SECONDS
}
# ended NAME: all ranks end in time, with an exit code that tells.
ended() {
  wait $mpirun_pid
  check "$1: the exit code is not 0" [ $? -ne 0 ]
  check "$1: all ranks end within seconds" [ $((SECONDS - start)) -lt 20 ]
}
begin killed
kill -KILL "$victim"
ended killed
expect 0 'goes on from .*checkpoint-' 2 "$tapegrad" train --distributed --resume "$work/killed" --epochs 3
check "what is resumed on 2 ranks has the weights of an undisturbed run" \
  cmp "$work/normalised/parameters.safetensors" "$work/killed/parameters.safetensors"
expect 0 'all 54 iterations are done' 1 "$tapegrad" train --resume "$work/killed"
# A signal to one rank stops all after the update at hand.
begin stopped
kill -TERM "$victim"
ended stopped
check "all ranks were told of the signal" grep -q 'interrupted after [0-9]* iterations' "$work/out"

# ---- over TCP ----
. "$(dirname "$0")/namespaces.sh"

[ $failures -eq 0 ] && echo "Ranks of MPI train as they should."
exit $((failures > 0))
