#!/bin/sh
# Makes benchmarks/.peers: the environment of the peers that pipeline.py and int8.py measure against, apart from fovea's own.
# Usage: benchmarks/peers.sh [PYTHON]    (Python 3.11 to 3.13; needs about 2 GB of disk)
set -eu
cd "$(dirname "$0")"
"${1:-python3}" -m venv .peers
.peers/bin/python -m pip install --quiet "tensorflow-cpu>=2.16" "openvino>=2025.0"
.peers/bin/python -c "import keras, tensorflow; print('keras', keras.__version__, 'tensorflow', tensorflow.__version__)"
