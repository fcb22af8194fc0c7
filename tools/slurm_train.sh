#!/usr/bin/env bash
# Train on a Slurm cluster, in the foreground or as a batch job:
#   [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=12] [SRUN_ARGS="--time=3-0"] \
#       tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]
#   [SBATCH_ARGS="--time=1-0"] BATCH=1 tools/slurm_train.sh …
# A batch job saves and requeues itself two minutes before its time limit, or when it is
# preempted, and then resumes.
set -euo pipefail

if [ $# -lt 4 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]" >&2
    exit 2
fi
partition=$1
job_name=$2
config=$3
work_dir=$4
shift 4

gpus=${GPUS:-8}
gpus_per_node=${GPUS_PER_NODE:-8}
if [ "$gpus" -lt "$gpus_per_node" ]; then
    gpus_per_node=$gpus
fi
resources=(
    --partition="$partition"
    --job-name="$job_name"
    --gres="gpu:$gpus_per_node"
    --ntasks="$gpus"
    --ntasks-per-node="$gpus_per_node"
    --cpus-per-task="${CPUS_PER_TASK:-12}"
)
train=("${PYTHON:-python}" -u "$(dirname "$0")/train.py" "$config"
    --work-dir "$work_dir" --launcher slurm "$@")

if [ -z "${BATCH:-}" ]; then
    # shellcheck disable=SC2086  # SRUN_ARGS holds several options
    exec srun "${resources[@]}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} "${train[@]}"
fi

mkdir -p "$work_dir"
if [[ " $* " != *' --resume'[\ =]* ]]; then
    train+=(--resume)
fi
# 75 is the exit status of a training that was stopped and saved. A process that fails
# ends the others two minutes later, long enough for those that save.
# shellcheck disable=SC2086  # SBATCH_ARGS holds several options
exec sbatch "${resources[@]}" --requeue --signal=USR1@120 --open-mode=append \
    --output="$work_dir/slurm-%j.log" ${SBATCH_ARGS:-} <<EOF
#!/usr/bin/env bash
srun --cpus-per-task=${CPUS_PER_TASK:-12} --kill-on-bad-exit=0 --wait=120 ${SRUN_ARGS:-} $(printf '%q ' "${train[@]}")
status=\$?
if [ \$status -eq 75 ]; then
    scontrol requeue "\$SLURM_JOB_ID"
fi
exit \$status
EOF
