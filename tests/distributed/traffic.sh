#!/usr/bin/env bash
# Bytes that ranks really send in a training step, as Open MPI counts them: hardly more than the fewest there can be,
# those of a ring, and as many as the cost model of the benchmark says.
# usage: tests/distributed/traffic.sh TRAFFIC_PROGRAM [TASK...]
# shellcheck source=tests/distributed/support.sh
source "$(dirname "$0")/support.sh"

traffic=$1
shift
if ! ompi_info 2>/dev/null | grep 'MCA pml: monitoring' >/dev/null; then
  echo "SKIPPED: this MPI does not count bytes: it is not Open MPI, or has no component pml monitoring"
  exit 77
fi

# What begins and ends a training sends, too: a step is the difference of two trainings.
few=2 many=6
# count RANKS TASK MICRO_BATCHES|fast BUCKET_BYTES
count() {
  local n=$1 updates
  shift
  rm -f "$work"/*.prof
  for updates in $few $many; do
    # Not through a variable of the program: with Open MPI 4.1 it is gone once MPI is initialised.
    ranks "$n" --mca pml_monitoring_enable 1 --mca pml_monitoring_enable_output 3 \
      --mca pml_monitoring_filename "$work/$updates" "$traffic" "$@" "$updates" >"$work/out" 2>"$work/err" ||
      check "$n ranks: $* is not trained" false
  done
  check "$n ranks: $*: their messages are not counted" [ -s "$work/$few.$((n - 1)).prof" ]
  # Lines "E, rank, other rank, bytes, ...". The agreement on losses and on what is used takes some hundred bytes.
  # shellcheck disable=SC2016
  check "$n ranks: $*: bytes" awk -v of="$n ranks, $*" -v few=$few -v many=$many '
    FILENAME ~ /out$/ { ring = $1; model = $2 }
    $1 == "E" { sent[$2] += (FILENAME ~ ("/" many "[.][0-9]+[.]prof$") ? $4 : -$4) / (many - few) }
    END {
      for (rank in sent) if (sent[rank] > most) most = sent[rank]
      printf "%s: %d bytes a step, %.4f of the ring optimum %d, by the cost model %d\n", of, most, most / ring, ring, model
      exit !(ring > 0 && most >= ring && most <= 1.05 * ring + 4096 && model >= 0.99 * most && model <= 1.01 * most)
    }' "$work/out" "$work"/*.prof
}

[ $# -gt 0 ] || set -- depth:3 # 335,114 parameters
for task; do
  for n in 2 4; do
    for summing in $n 8 fast; do count "$n" "$task" "$summing" $((4 << 20)); done
  done
  # In several buckets, while backward goes on.
  for summing in 4 fast; do count 4 "$task" "$summing" $((256 << 10)); done
done

[ $failures -eq 0 ] && echo "Ranks send what they have to."
exit $((failures > 0))
