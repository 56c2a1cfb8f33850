#!/usr/bin/env bash
# Trains with RANKS processes of this host, started by Open MPI's mpirun; they do not use MPI themselves:
#   bash scripts/launch/mpirun.sh RANKS run.yaml [more arguments of zebra train]
# ZEBRA names another binary than build/zebra. Ends with the ranks' status: 75 when a signal stopped them after saving.
#
# Two hosts, which see the same folders; MASTER_ADDR is the one of rank 0:
#   mpirun --host HOST1:8,HOST2:8 --bind-to none -x MASTER_ADDR=HOST1 -x OMP_NUM_THREADS build/zebra train run.yaml
set -euo pipefail
if (($# < 2)); then sed -n 's/^#   bash/usage: bash/p' "$0" >&2; exit 2; fi
root=$(cd "$(dirname "$0")/../.." && pwd)
ranks=$1
shift

cores=$(nproc)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((cores > ranks ? cores / ranks : 1))}
options=(--oversubscribe)     # more ranks than cores are welcome
options+=(--bind-to none)     # or all threads of a rank share one core
((EUID)) || options+=(--allow-run-as-root)  # in containers

# mpirun kills its ranks a second after SIGINT or SIGTERM, too soon for a checkpoint, but hands SIGUSR1 on to them. In a
# session of its own it does not see Ctrl-C. The second signal kills.
setsid mpirun "${options[@]}" -n "$ranks" "${ZEBRA:-$root/build/zebra}" train "$@" &
stop() { kill -USR1 $!; trap 'kill -TERM $!' INT TERM; }
trap stop INT TERM USR1
while kill -0 $! 2>/dev/null; do wait $! || true; done
wait $!
