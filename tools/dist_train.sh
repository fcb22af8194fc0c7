#!/usr/bin/env bash
# Train on N GPUs of this machine, or in N processes on its CPU where there is no GPU:
#   tools/dist_train.sh CONFIG N [options of tools/train.py]
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT on each.
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
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
