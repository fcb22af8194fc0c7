#!/usr/bin/env bash
# Run a tool in N processes with torchrun, for dist_train.sh and dist_test.sh:
#   tools/launch.sh N TOOL.py [its options]
set -euo pipefail

processes=$1
tool=$2
shift 2
if ! [[ $processes =~ ^[1-9][0-9]*$ ]]; then
    echo "error: $processes processes: give a number, such as 8" >&2
    exit 2
fi

# Processes share the cores; torchrun's own default is one thread each.
cores=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)  # macOS has no nproc
# Containers limit time: microseconds per period, or "max".
read -r quota period < <(cat /sys/fs/cgroup/cpu.max 2>/dev/null || echo max 1)
if [ "$quota" != max ] && [ $((quota / period)) -lt "$cores" ]; then
    cores=$((quota < period ? 1 : quota / period))
fi
: "${OMP_NUM_THREADS:=$(((cores + processes - 1) / processes))}"
: "${MKL_NUM_THREADS:=$OMP_NUM_THREADS}"  # MMEngine's default is 1
export OMP_NUM_THREADS MKL_NUM_THREADS

# Clusters may set MASTER_ADDR for one machine as well; there, runs would share a port.
if [ "${NNODES:-1}" != 1 ]; then
    : "${MASTER_ADDR:?name the first of the machines}"
    rendezvous=(--rdzv-backend=c10d --rdzv-endpoint="$MASTER_ADDR:${PORT:-29500}")
else  # this machine alone, on any free port, without resolving its name
    rendezvous=(--standalone --local-addr=127.0.0.1)
fi

# Otherwise restarted processes find the addresses of those that died.
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1

# torchrun, without the traceback that it prints on a signal.
torchrun='
import sys

# Without the current folder, whose files may have names of modules.
sys.path = [each for each in sys.path if each]
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
