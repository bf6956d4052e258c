"""Checks what `tapegrad bench --filter W1 --json FILE` says of the machine's limits.

usage: bench_shares.py FILE
"""
import json
import math
import sys

with open(sys.argv[1]) as file:
    measured = [m for m in json.load(file) if "contender" in m]


def best(workload):
    return max(m["max"] for m in measured if m["workload"] == workload)


steps = [m for m in measured if m["workload"] == "W1"]
assert steps, "W1 was not measured"
# A batch of 100 through 784-50-10: forward, gradient of the weights, and of the second layer's input.
operations = 2 * 100 * (784 * 50 * 2 + 50 * 10 * 3)
for m in steps:
    assert math.isclose(m["gflops"], 1e-9 * operations * m["median"], rel_tol=1e-9), m
    assert math.isclose(m["of_machine_product"], m["gflops"] / best("machine-product"), rel_tol=1e-9), m
    assert math.isclose(m["of_machine_triad"], m["gbytes_per_second"] / best("machine-triad"), rel_tol=1e-9), m
    assert m["gbytes_per_second"] > 0, m
