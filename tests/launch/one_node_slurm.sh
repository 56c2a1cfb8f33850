#!/usr/bin/env bash
# A Slurm of one node, this host, that lives in a folder and touches nothing outside it:
#   bash tests/launch/one_node_slurm.sh start FOLDER
#   SLURM_CONF=FOLDER/slurm.conf srun -n 3 hostname
#   bash tests/launch/one_node_slurm.sh stop FOLDER
# Needs root and the packages slurm-wlm and munge. One at a time on a host: its ports are fixed.
set -euo pipefail

configure() {
  local host
  host=$(hostname -s)
  mkdir -p "$folder/state" "$folder/spool"
  (umask 077 && head -c 128 /dev/urandom >"$folder/munge.key")
  # 16 CPUs, whatever the host has: tests start more ranks than that. Nothing is accounted, bound or confined, so no
  # cgroups are needed.
  cat >"$SLURM_CONF" <<END
ClusterName=zebra
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=26817
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmctldPidFile=$folder/slurmctld.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdSpoolDir=$folder/spool
SlurmdPidFile=$folder/slurmd.pid
SlurmdLogFile=$folder/slurmd.log
SlurmdParameters=config_overrides
MpiDefault=none
ProctrackType=proctrack/linuxproc
JobAcctGatherType=jobacct_gather/none
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 Port=26818 CPUs=16
PartitionName=all Nodes=$host Default=YES
END
}

# wait_until SECONDS COMMAND...
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

is_idle() { [ "$(sinfo --noheader --format=%T 2>/dev/null)" = idle ]; }
has_no_jobs() { [ -z "$(squeue --noheader 2>/dev/null)" ]; }
is_gone() { [ ! -e "$1" ]; }

give_up() {
  tail -n 20 "$folder"/*.log >&2 || true
  stop || true
}

start() {
  is_gone "$folder/slurmctld.pid" || { echo "already started in $folder" >&2; return 1; }
  configure
  trap give_up EXIT
  # --force: the folders above may be closed to other users, who have no business here.
  munged --force --socket="$folder/munge.socket" --key-file="$folder/munge.key" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munged.seed"
  slurmctld -f "$SLURM_CONF"
  slurmd -f "$SLURM_CONF"
  wait_until 60 is_idle || { echo "the node is not idle after 60 s" >&2; exit 1; }
  trap - EXIT
}

stop() {
  if [ -e "$folder/slurmctld.pid" ]; then
    timeout 20 scancel --user=root || true
    wait_until 40 has_no_jobs || echo "jobs do not end" >&2
  fi
  local daemon
  for daemon in slurmd slurmctld munged; do  # each removes its pid file at the end
    local pid_file=$folder/$daemon.pid
    [ -e "$pid_file" ] || continue
    kill "$(cat "$pid_file")" || rm "$pid_file"
    wait_until 20 is_gone "$pid_file" || { echo "$daemon does not end" >&2; return 1; }
  done
}

if (($# != 2)) || [[ $1 != start && $1 != stop ]]; then
  echo "usage: bash tests/launch/one_node_slurm.sh start|stop FOLDER" >&2
  exit 2
fi
mkdir -p "$2"
folder=$(cd "$2" && pwd)
export SLURM_CONF=$folder/slurm.conf
PATH=$PATH:/usr/sbin:/sbin  # the daemons
"$1"
