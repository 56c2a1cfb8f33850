#!/usr/bin/env bash
# Sets up, builds and runs every test, and prints how long each stage took. With --long also what takes longer: all C++
# tests under AddressSanitizer and UndefinedBehaviorSanitizer, more kills of running processes, a 125M model in bf16, the
# CUDA kernels on all schedules and all combinations of their sizes, the readers of foreign files fuzzed for ten minutes, the
# wheels installed by an ordinary user, build and tests with the other versions of torch that Zebra supports.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/stages.sh

long=
for argument in "$@"; do
  case "$argument" in
    --long) long=1 ;;
    *) echo "usage: bash scripts/test.sh [--long]" >&2; exit 2 ;;
  esac
done
export ZEBRA_LONG_TESTS=$long
wheel_cuda=${long:+AUTO}  # its CUDA kernels are those of the build, which need not be compiled twice every time
wheel_cuda=${wheel_cuda:-OFF}

# pytest [option…] FOLDER in as many processes as there are cores, eight at most: one of tests/ptx may take 3 GiB.
processes=$(($(nproc) < 8 ? $(nproc) : 8))
pytest() { .venv/bin/python -m pytest -q -n "$processes" --dist worksteal "$@"; }

stage "Set-up"
if [ -n "$long" ]; then bash scripts/setup.sh --long; else bash scripts/setup.sh --tests; fi

stage "Build"
cmake --preset release
cmake --build --preset release
if ! diff <(build/zebra config --reference) docs/configuration.md; then
  echo "docs/configuration.md is stale; run: build/zebra config --reference > docs/configuration.md" >&2
  exit 1
fi

stage "C++ tests"
ctest --preset release --parallel "$(nproc)"

stage "End-to-end tests"
pytest --durations=10 tests/end_to_end

stage "Tests of the reports"
pytest tests/ablation_report
pytest tests/run_report

stage "The wheel zebra_attention"
ZEBRA_CUDA=$wheel_cuda bash scripts/wheels.sh attention
pytest tests/zebra_attention

# What needs nvcc is skipped where it is not there.
stage "PTX of the CUDA kernels, interpreted"
pytest tests/ptx

stage "Disassembly of the CUDA kernels"
ZEBRA_KERNEL_REPORT_FOLDER=build/kernel_report pytest -n 0 tests/disassembly  # its compilations are parallel

stage "clang-tidy on what changed since the parent commit"
bash scripts/tidy.sh --seconds 120

if [ -n "$long" ]; then
  stage "Emulated CUDA kernels, all schedules and sizes"
  cmake --build --preset release --target test_emulation_plain
  build/tests/test_emulation_plain
  build/tests/test_emulation_plain "[long]"
  stage "C++ tests under sanitizers"
  cmake --preset sanitize
  cmake --build --preset sanitize
  ctest --preset sanitize --parallel "$(nproc)"
  stage "Fuzzers"
  bash tests/fuzz/run.sh 600
  stage "The wheel zebra_lm, and a first model from the two wheels"
  bash scripts/wheels.sh lm
  pytest tests/zebra_lm
  bash tests/zebra_lm/from_wheels.sh --torch-from .venv
  stage "The other versions of torch"
  for version in $(sed -n 's/^set(ZEBRA_TORCH_TESTED \(.*\))$/\1/p' cmake/LibTorch.cmake); do
    if grep -qx "torch==$version" .venv/installed-requirements.txt; then continue; fi
    bash tests/other_torch.sh "$version"
  done
fi
stage_ends
printf '\nAll tests passed.\n'
