#!/usr/bin/env bash
# Sets up, builds and runs every test. With --long also what takes longer: all C++ tests under AddressSanitizer and
# UndefinedBehaviorSanitizer, more kills of running processes, a 125M model in bf16, the CUDA kernels on all combinations
# of their sizes, the readers of foreign files fuzzed for ten minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

long=
for argument in "$@"; do
  case "$argument" in
    --long) long=1 ;;
    *) echo "usage: bash scripts/test.sh [--long]" >&2; exit 2 ;;
  esac
done

if [ -n "$long" ]; then bash scripts/setup.sh --long; else bash scripts/setup.sh --tests; fi

cmake --preset release
cmake --build --preset release

if ! diff <(build/zebra config --reference) docs/configuration.md; then
  echo "docs/configuration.md is stale; run: build/zebra config --reference > docs/configuration.md" >&2
  exit 1
fi

ctest --preset release --parallel "$(nproc)"
export ZEBRA_LONG_TESTS=$long
.venv/bin/python -m pytest -q tests/end_to_end
.venv/bin/python -m pytest -q tests/ablation_report
# What needs nvcc is skipped where it is not there.
.venv/bin/python -m pytest -q -n auto --dist worksteal tests/ptx
ZEBRA_KERNEL_REPORT_FOLDER=build/kernel_report .venv/bin/python -m pytest -q tests/disassembly

if [ -n "$long" ]; then
  build/tests/test_emulation "[long]"
  cmake --preset sanitize
  cmake --build --preset sanitize
  ctest --preset sanitize --parallel "$(nproc)"
  bash tests/fuzz/run.sh 600
fi
echo "All tests passed."
