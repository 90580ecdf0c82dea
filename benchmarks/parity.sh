#!/bin/sh
# Makes benchmarks/.parity: fovea beside the libraries that parity.py compares it with; the package itself needs neither.
# Usage: benchmarks/parity.sh [PYTHON]    (Python 3.11 to 3.13; needs about 2 GB of disk)
set -eu
cd "$(dirname "$0")"
"${1:-python3}" -m venv .parity
.parity/bin/python -m pip install --quiet -e .. "torchvision==0.28.*" "timm==1.0.*"
