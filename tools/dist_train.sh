#!/usr/bin/env bash
# Train on N GPUs of this machine, or in N processes on its CPU where there is no GPU:
#   tools/dist_train.sh CONFIG N [options of tools/train.py]
# Several machines: set NNODES, MASTER_ADDR (the first one) and PORT on each.
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

rendezvous=(
    --rdzv-backend=c10d
    --rdzv-endpoint="${MASTER_ADDR:-127.0.0.1}:${PORT:-29500}"
)
if [ -z "${MASTER_ADDR:-}" ]; then
    rendezvous+=(--local-addr=127.0.0.1)  # the host's name need not be known
fi

# Else processes that start again find the addresses of those that died.
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --nproc-per-node="$processes" \
    "${rendezvous[@]}" \
    --max-restarts="${MAX_RESTARTS:-0}" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
