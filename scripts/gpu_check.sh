#!/usr/bin/env bash
# Everything that needs a GPU, from a build of this checkout: lays out what was built, and runs scripts/gpu/run.sh on it, which
# says what it does, what its options are and what it leaves in OUTPUT_FOLDER.
#
#   bash scripts/gpu_check.sh [--dry-run] [--partial] [--only STEP,…] [OUTPUT_FOLDER]        (default build/gpu_check/results)
#
# Build first: cmake --preset release && cmake --build --preset release --target zebra_gpu_programs
# ZEBRA_BUILD names another build folder than build. What was not built, or could not be run, is a failure, unless --partial.
set -euo pipefail
options=() output=
while (($#)); do
  case $1 in
    --dry-run | --partial) options+=("$1") ;;
    --only) (($# > 1)) || { echo "--only needs names of steps" >&2; exit 2; }; options+=("$1" "$2"); shift ;;
    -*) sed -n 's/^#   bash/usage: bash/p' "$0" >&2; exit 2 ;;
    *) output=$(realpath -m "$1") ;;
  esac
  shift
done
cd "$(dirname "$0")/.."
build=${ZEBRA_BUILD:-build}
[ -f "$build/CMakeCache.txt" ] || { echo "$build is no build folder: cmake --preset release" >&2; exit 2; }
tree=$build/gpu_check/tree
bash scripts/gpu_tree.sh "$build" "$tree"
exec bash "$tree/run.sh" "${options[@]}" "${output:-$build/gpu_check/results}"
