#!/usr/bin/env bash
# Runs pytorch.py with a Python that has PyTorch. Where there is none, says so and ends with 77, which ctest calls skipped.
# usage: tests/interchange/run_pytorch.sh CONVERT_PROGRAM NETWORKS_PROGRAM
set -euo pipefail

for python in python3 /usr/bin/python3; do
  if "$python" -c 'import torch, numpy' 2>/dev/null; then
    exec "$python" "$(dirname "${BASH_SOURCE[0]}")/pytorch.py" "$@"
  fi
done
echo "SKIPPED: no Python with PyTorch and NumPy; 'tools/setup.sh python3-torch' installs Debian's"
exit 77
