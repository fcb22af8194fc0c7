#!/usr/bin/env bash
# Test on N GPUs of this machine, or in N processes on its CPU where there is no GPU:
#   tools/dist_test.sh CONFIG CHECKPOINT N [options of tools/test.py]
# Several machines: set NNODES and MASTER_ADDR (the first one) on each, perhaps PORT.
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT N [options of tools/test.py]" >&2
    exit 2
fi
exec bash "$(dirname "$0")/launch.sh" "$3" test.py "$1" "$2" "${@:4}"
