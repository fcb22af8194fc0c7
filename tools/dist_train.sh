#!/usr/bin/env bash
# Train on N GPUs of this machine, or in N processes on its CPU where there is no GPU:
#   tools/dist_train.sh CONFIG N [options of tools/train.py]
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT on each.
# Set MAX_RESTARTS=3, say, and all start again from the last whole checkpoint when a
# process dies, three times at most.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG N [options of tools/train.py]" >&2
    exit 2
fi
config=$1
processes=$2
shift 2

# Processes share the cores; torchrun's own default is one thread each.
: "${OMP_NUM_THREADS:=$((($(nproc) + processes - 1) / processes))}"
export OMP_NUM_THREADS

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$processes" \
    --max-restarts="${MAX_RESTARTS:-0}" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
