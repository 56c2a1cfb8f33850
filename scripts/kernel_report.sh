#!/usr/bin/env bash
# What the compiler makes of the CUDA kernels: registers, memory, occupancy and instructions, as
# Markdown; with --model also the speed to expect, with --measured that of a card. See --help.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
PYTHONPATH="$root" exec "$root/.venv/bin/python" -m scripts.kernel_report "$@"
