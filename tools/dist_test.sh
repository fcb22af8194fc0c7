#!/usr/bin/env bash
# Test on N GPUs of this machine, or in N CPU processes if it has no GPU:
#   tools/dist_test.sh CONFIG CHECKPOINT N [options of tools/test.py]
# On several machines, set NNODES, MASTER_ADDR (the first one), and optionally PORT.
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT N [options of tools/test.py]" >&2
    exit 2
fi
exec bash "$(dirname "$0")/launch.sh" "$3" test.py "$1" "$2" "${@:4}"
