#!/usr/bin/env bash
# Everything that needs a GPU, in nine minutes: plan.txt says what, in which order and for how long at most.
#
#   bash run.sh [--dry-run] [--partial] [--only STEP,…] OUTPUT_FOLDER
#
# Beside this file lie the programs (bin/), their libraries (lib/) and data (data/), as scripts/gpu_bundle.sh packs them and
# scripts/gpu_check.sh lays them out. The machine brings a driver, and python3 with torch 2.11; Nsight Compute and
# compute-sanitizer are used where they are. Nothing is loaded from a network.
#
# No step stops another: one that fails, hangs or is not there is noted, and the next one begins. Ends with 0 only where every
# step passed. --partial: what could not be run (a program or time that was missing) is no failure. --only: these steps and no
# others, to run again what failed; implies --partial.
# --dry-run: hides all GPUs and starts every program, which then has to say that there is none. Ends with 1, as every run
# without a GPU does.
#
# OUTPUT_FOLDER gets at most eight files: summary.txt for a person, results.json with all figures (scripts/kernel_report.sh
# --measured makes tables of it), log.txt with all that was printed, and from single steps hopper.txt, attention.csv,
# peers.jsonl, steps.jsonl and kernels.ncu-rep. The first two are complete after each step.
set -uo pipefail
unset LC_ALL
export LC_NUMERIC=C  # points in numbers
here=$(cd "$(dirname "$0")" && pwd)

usage() { sed -n 's/^#   bash/usage: bash/p' "$0" >&2; exit 2; }
dry_run= partial= only= output=
while (($#)); do
  case $1 in
    --dry-run) dry_run=1 ;;
    --partial) partial=1 ;;
    --only) (($# > 1)) || usage; only=,$2, partial=1; shift ;;
    -*) usage ;;
    *) [ -z "$output" ] || usage; output=$1 ;;
  esac
  shift
done
[ -n "$output" ] || usage
plan() { grep -v '^#' "$here/plan.txt"; }
for name in ${only//,/ }; do
  grep -q "^$name " <<<"$(plan)" || { echo "--only $name: plan.txt has no such step" >&2; exit 2; }
done
mkdir -p "$output"
output=$(cd "$output" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Another cuDNN in LD_LIBRARY_PATH would take the place of the one that LibTorch was built with.
unset LD_LIBRARY_PATH
torch=$(python3 -c 'import importlib.util; print(importlib.util.find_spec("torch").submodule_search_locations[0])' 2>/dev/null)
if ! grep -qs "__version__ = '2\.11\." "$torch/version.py"; then
  echo "python3 has no torch 2.11, whose libraries the programs need (found: ${torch:-none})." >&2
  exit 2
fi
export LD_LIBRARY_PATH=$here/lib:$torch/lib PATH=$PATH:/usr/local/cuda/bin
export BUNDLE=$here WORK=$work OUTPUT=$output
if [ -n "$dry_run" ]; then export CUDA_VISIBLE_DEVICES=; fi

missing_among() {
  local program
  for program in "$@"; do
    [ -x "$here/bin/$program" ] || command -v "$program" >/dev/null || { echo "$program"; return; }
  done
}

child= stopped=
trap 'stopped=1; [ -z "$child" ] || kill "$child"' INT TERM

# run_step NAME SECONDS: sets `outcome`. A step ends for certain: it gets SIGTERM, and three seconds later SIGKILL.
run_step() {
  timeout --kill-after 3 "$(($2 > 3 ? $2 - 3 : $2))" bash "$here/steps.sh" "$1" >"$work/$1.log" 2>&1 </dev/null &
  child=$!
  wait "$child"
  local status=$?
  kill -KILL -- "-$child" 2>/dev/null  # what did not end with its step: all of it is one process group
  child=
  case $status in
    0) outcome=passed ;;
    77) outcome="not for this machine" ;;
    124 | 137) outcome="out of time" ;;
    *) outcome="failed with status $status" ;;
  esac
  if ((status != 0)) && grep -qE 'there is no GPU|no usable GPU' "$work/$1.log"; then outcome="no GPU"; fi
}

# note NAME OUTCOME SECONDS LIMIT: in the summary and the results, at once.
note() {
  printf '%s\t%s\t%s\t%s\n' "$@" >>"$work/steps.tsv"
  python3 "$here/results.py" "$work" "$output" || failures=$((failures + 1))
  printf '%-20s %6.1f s of %3d  %s\n' "$1" "$3" "$4" "$2"
}

# What an earlier run left there would be taken for this one's.
rm -f "$output"/{summary.txt,results.json,log.txt,hopper.txt,attention.csv,peers.jsonl,steps.jsonl,kernels.ncu-rep}
failures=0 passed=0
read -r _ all_seconds < <(plan)
while read -r name limit programs; do
  [ -z "$only" ] || [[ $only == *,$name,* ]] || continue
  begun=${EPOCHREALTIME/[.,]/}
  left=$((all_seconds - SECONDS))
  missing=$(missing_among $programs)
  if [ -n "$missing" ]; then
    outcome="missing: $missing"
  elif [ -n "$stopped" ] || ((left < 2)); then
    outcome="no time left"
  else
    run_step "$name" $((limit < left ? limit : left))
    { printf '\n==== %s: %s\n' "$name" "$outcome"; cat "$work/$name.log"; } >>"$output/log.txt"
  fi
  case $outcome in
    passed) passed=$((passed + 1)) ;;
    "not for this machine") ;;
    missing:* | "no time left") [ -n "$partial" ] || failures=$((failures + 1)) ;;
    *) failures=$((failures + 1)) ;;
  esac
  taken=$((${EPOCHREALTIME/[.,]/} - begun))
  note "$name" "$outcome" "$((taken / 1000000)).$(printf %06d $((taken % 1000000)))" "$limit"
done < <(plan | tail -n +2)

echo
echo "$passed steps passed. Results are in $output."
((failures == 0 && passed > 0))
