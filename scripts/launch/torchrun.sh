#!/usr/bin/env bash
# Trains with RANKS processes of this host, started by torchrun:
#   bash scripts/launch/torchrun.sh RANKS run.yaml [more arguments of zebra train]
# ZEBRA names another binary than build/zebra. SIGINT, SIGTERM and SIGUSR1 to torchrun reach the ranks, which finish the
# step, save and stop; torchrun kills them where that takes more than 30 s. It ends with 1 whatever their status was, also
# where it was 75 (stopped after saving: start again to go on): status.json in the run folder tells the truth.
#
# Two hosts: the same command on both, of which the first is named:
#   torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST1 --no-python build/zebra train run.yaml
set -euo pipefail
if (($# < 2)); then sed -n 's/^#   bash/usage: bash/p' "$0" >&2; exit 2; fi
root=$(cd "$(dirname "$0")/../.." && pwd)
ranks=$1
shift

torchrun=$root/.venv/bin/torchrun
[ -x "$torchrun" ] || torchrun=torchrun
# Where it is not set, torchrun sets it to 1: right for ranks on GPUs alone.
cores=$(nproc)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((cores > ranks ? cores / ranks : 1))}
# A hang-up of the terminal stops the ranks too, unless nohup ignores it, which torchrun would undo.
signals=SIGINT,SIGTERM,SIGUSR1
[ -n "$(trap -p HUP)" ] || signals+=,SIGHUP
exec "$torchrun" --standalone --nproc-per-node "$ranks" --signals-to-handle "$signals" \
  --no-python "${ZEBRA:-$root/build/zebra}" train "$@"
