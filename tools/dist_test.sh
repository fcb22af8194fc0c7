#!/usr/bin/env bash
# Test on N GPUs of this machine, or in N processes on its CPU where there is no GPU:
#   tools/dist_test.sh CONFIG CHECKPOINT N [options of tools/test.py]
# Several machines: set NNODES, MASTER_ADDR (the first one) and PORT on each.
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT N [options of tools/test.py]" >&2
    exit 2
fi
config=$1
checkpoint=$2
processes=$3
shift 3

# Processes share the cores; torchrun's own default is one thread each.
: "${OMP_NUM_THREADS:=$((($(nproc) + processes - 1) / processes))}"
export OMP_NUM_THREADS

rendezvous=(
    --rdzv-backend=c10d
    --rdzv-endpoint="${MASTER_ADDR:-127.0.0.1}:${PORT:-29500}"
)
if [ -z "${MASTER_ADDR:-}" ]; then
    rendezvous+=(--local-addr=127.0.0.1)  # the host's name need not be known
fi

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --nproc-per-node="$processes" \
    "${rendezvous[@]}" \
    "$(dirname "$0")/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
