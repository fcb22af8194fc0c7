#!/usr/bin/env bash
# Train on N GPUs of this machine, or in N processes on its CPU where there is no GPU:
#   tools/dist_train.sh CONFIG N [options of tools/train.py]
# Several machines: set NNODES and MASTER_ADDR (the first one) on each, perhaps PORT.
# Set MAX_RESTARTS=3, say, and all start again from the last whole checkpoint when a
# process dies, three times at most.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG N [options of tools/train.py]" >&2
    exit 2
fi
exec bash "$(dirname "$0")/launch.sh" "$2" train.py "$1" "${@:3}"
