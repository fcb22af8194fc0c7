#!/usr/bin/env bash
# Starts a tool in N processes, by torchrun; what dist_train.sh and dist_test.sh share:
#   tools/launch.sh N TOOL.py [its options]
set -euo pipefail

processes=$1
tool=$2
shift 2

# Processes share the cores; torchrun's own default is one thread each.
: "${OMP_NUM_THREADS:=$((($(nproc) + processes - 1) / processes))}"
export OMP_NUM_THREADS

if [ -n "${MASTER_ADDR:-}" ]; then
    rendezvous=(--rdzv-backend=c10d --rdzv-endpoint="$MASTER_ADDR:${PORT:-29500}")
else  # this machine alone, on any free port; its name need not be known
    rendezvous=(--standalone --local-addr=127.0.0.1)
fi

# Else processes that start again find the addresses of those that died.
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1

# torchrun, but for the traceback that it ends with when it was told to stop.
torchrun='
import sys
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.run import main

try:
    main()
except SignalException as error:
    sys.exit(f"torchrun: {error}")
'

exec "${PYTHON:-python}" -c "$torchrun" \
    --nnodes="${NNODES:-1}" \
    --nproc-per-node="$processes" \
    "${rendezvous[@]}" \
    --signals-to-handle=SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1 \
    --max-restarts="${MAX_RESTARTS:-0}" \
    "$(dirname "$0")/$tool" "$@" --launcher pytorch
