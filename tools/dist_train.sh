#!/usr/bin/env bash
# Train on N GPUs of this machine, or in N CPU processes if it has no GPU:
#   tools/dist_train.sh CONFIG N [options of tools/train.py]
# On several machines, set NNODES, MASTER_ADDR (the first one), and optionally PORT.
# With MAX_RESTARTS=3, all processes restart from the last valid checkpoint if one dies,
# at most three times.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG N [options of tools/train.py]" >&2
    exit 2
fi
exec bash "$(dirname "$0")/launch.sh" "$2" train.py "$1" "${@:3}"
