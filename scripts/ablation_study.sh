#!/usr/bin/env bash
# From a bare machine to the report of a study that fits on two CPU cores: installs what is missing, builds, makes the data,
# runs `zebra ablate`. Everything goes into runs/ablations; running it again goes on where it stopped.
# usage: bash scripts/ablation_study.sh [ratio|window|placement|positions|ladder] [options of zebra ablate]
set -euo pipefail
cd "$(dirname "$0")/.."
study=${1:-ratio}
shift || true
sweep=configs/ablations/$study-cpu.yaml
if [ ! -f "$sweep" ]; then
  echo "no study $study; there are: $(cd configs/ablations && ls ./*-cpu.yaml | sed 's|^./||; s|-cpu.yaml$||' | grep -v 'base$' | xargs)" >&2
  exit 2
fi

bash scripts/setup.sh
cmake --preset release -DZEBRA_TESTS=OFF -DZEBRA_CUDA=OFF >/dev/null
cmake --build --preset release --target zebra
bash scripts/python_data.sh runs/ablations/python 512
build/zebra ablate "$sweep" "$@"
