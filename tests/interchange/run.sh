#!/usr/bin/env bash
# Runs interchange.py with a Python that has NumPy. usage: tests/interchange/run.sh CONVERT_PROGRAM
set -euo pipefail

for python in python3 /usr/bin/python3; do
  if "$python" -c 'import numpy' 2>/dev/null; then
    exec "$python" "$(dirname "${BASH_SOURCE[0]}")/interchange.py" "$1"
  fi
done
echo "FAILED: no Python with NumPy; tools/setup.sh installs python3-numpy" >&2
exit 1
