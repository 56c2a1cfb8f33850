#!/usr/bin/env bash
# Trains with the ranks that srun starts in a batch job of Slurm. From the project's folder, on two hosts of 8 GPUs:
#   sbatch --nodes=2 --ntasks-per-node=8 --gpus-per-node=8 scripts/launch/slurm.sh run.yaml [more arguments of zebra train]
# Without a script: srun --nodes=2 --ntasks-per-node=8 --gpus-per-node=8 build/zebra train run.yaml
# All hosts must see the same folders. ZEBRA names another binary than build/zebra. `scancel --signal=TERM JOB` and the
# time limit make the ranks save and stop; the job then ends with 75: submit it again to go on.
#SBATCH --job-name=zebra
#SBATCH --output=zebra-%j.log
#SBATCH --signal=TERM@300
set -euo pipefail
if (($# < 1)); then sed -n 's/^#   sbatch/usage: sbatch/p' "$0" >&2; exit 2; fi

cores=$SLURM_CPUS_ON_NODE
ranks=${SLURM_TASKS_PER_NODE%%[(,]*}  # 8 of 8(x2)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((cores > ranks ? cores / ranks : 1))}
# --cpu-bind=none, or Slurm may pin all threads of a rank to one core. --wait: when one rank has ended, the others have a
# minute to do so too.
exec srun --cpu-bind=none --wait=60 "${ZEBRA:-build/zebra}" train "$@"
