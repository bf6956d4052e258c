# shellcheck shell=bash
# Part of run.sh: two ranks in network namespaces of their own, which see each other over TCP alone, with a delay of 1 ms
# where the kernel has one (netem). What this machine does not allow is skipped, and said.

# Names that no other run has.
space=tapegrad$$
remove_spaces() {
  ip netns delete "${space}a" 2>/dev/null
  ip netns delete "${space}b" 2>/dev/null # and the link between them
}
trap 'remove_spaces; rm -rf "$work"' EXIT TERM # also where the test runs out of time

make_spaces() {
  local side
  command -v ip >/dev/null && ip netns add "${space}a" && ip netns add "${space}b" || return 1
  ip link add "v${$}a" netns "${space}a" type veth peer name "v${$}b" netns "${space}b" || return 1
  for side in a b; do
    ip -n "$space$side" link set lo up &&
      ip -n "$space$side" addr add "10.213.77.$([ $side = a ] && echo 1 || echo 2)/24" dev "v$$$side" &&
      ip -n "$space$side" link set "v$$$side" up || return 1
  done
}

if ! make_spaces 2>"$work/err"; then
  echo "SKIPPED: ranks in network namespaces: $(head -1 "$work/err")"
else
  if ip netns exec "${space}a" tc qdisc add dev "v$$a" root netem delay 500us 2>"$work/err" &&
    ip netns exec "${space}b" tc qdisc add dev "v$$b" root netem delay 500us 2>>"$work/err"; then
    echo "network of 1 ms between two namespaces"
  else
    echo "SKIPPED: the delay of 1 ms: $(head -1 "$work/err"); the ranks are in two namespaces without it"
  fi
  # In place of ssh: the name of the host is an address of the other namespace.
  cat >"$work/agent" <<AGENT
#!/bin/sh
shift
exec ip netns exec ${space}b sh -c "\$*"
AGENT
  chmod +x "$work/agent"
  # between RANKS COMMAND...: half of the ranks in each namespace.
  between() {
    local n=$1
    shift
    timeout 300 ip netns exec "${space}a" env -u OMPI_MCA_btl_tcp_if_include -u OMPI_MCA_oob_tcp_if_include \
      OMPI_MCA_btl=self,tcp mpirun --quiet --oversubscribe --bind-to none --mca plm_rsh_agent "$work/agent" \
      --mca btl_tcp_if_include 10.213.77.0/24 --mca oob_tcp_if_include 10.213.77.0/24 \
      --host "10.213.77.1:$((n / 2)),10.213.77.2:$((n / 2))" -n "$n" "$@"
  }
  for n in 2 4; do
    between $n "$checks" exchange >"$work/out" 2>"$work/err"
    check "ranks in two namespaces do not exchange" grep -q "exchange holds on $n ranks" "$work/out"
    between $n "$checks" trainers >"$work/out" 2>"$work/err"
    check "a trainer has other bits in two namespaces" cmp <(head -1 "$work/one") <(head -1 "$work/out")
  done
  start=$SECONDS
  between 2 "$checks" fail 1 >"$work/out" 2>"$work/err"
  check "a rank of another namespace that fails ends all" [ $? -ne 0 ]
  check "and is named" grep -q 'rank 1 of 2 has failed: the disk is away' "$work/err"
  check "within seconds" [ $((SECONDS - start)) -lt 60 ]
fi
remove_spaces
