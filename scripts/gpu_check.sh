#!/usr/bin/env bash
# Everything that needs a GPU, in one call under ten minutes: builds the device tests from this tree, runs them, runs a
# part of them under compute-sanitizer, times local attention against LibTorch's, tries NCCL between all GPUs, and trains
# a small model, on one GPU and split over all of them.
#
#   bash scripts/gpu_check.sh [--compile-only] [OUTPUT_FOLDER]        (default build/gpu_check)
#
# Needs the CUDA toolkit and python3 with torch 2.11; nothing else of what scripts/setup.sh installs. The later steps run
# what was built before, on this machine or another: build/zebra, and zebra_bench_attention, test_ops and test_distributed
# of build/tests.
# --compile-only stops before the first step that needs a GPU.
set -euo pipefail
cd "$(dirname "$0")/.."

compile_only=
output=build/gpu_check
for argument in "$@"; do
  case "$argument" in
    --compile-only) compile_only=1 ;;
    -*) echo "usage: bash scripts/gpu_check.sh [--compile-only] [OUTPUT_FOLDER]" >&2; exit 2 ;;
    *) output=$argument ;;
  esac
done
mkdir -p "$output"

export PATH="$PATH:/usr/local/cuda/bin"
command -v nvcc >/dev/null || { echo "nvcc is not there: install the CUDA toolkit, or add its bin folder to PATH." >&2; exit 2; }

echo "== Building the device tests"
flags=(-O2 --expt-relaxed-constexpr -std=c++17 -Icsrc_kernels -Icsrc_kernels/include -Icsrc_kernels/cuda)
architecture=sm_80
if [ -z "$compile_only" ]; then
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv,noheader | tee "$output/card.txt"
  architecture=sm_$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .)
fi
objects=()
sources=(csrc_kernels/cuda/*.cu csrc_kernels/cuda/*/*.cu)
for source in "${sources[@]}"; do
  objects+=("$output/$(basename "$(dirname "$source")")_$(basename "$source").o")
done
for i in "${!sources[@]}"; do
  echo nvcc "${flags[@]}" "-arch=$architecture" -c "${sources[i]}" -o "${objects[i]}"
done | xargs -P "$(nproc)" -I COMMAND sh -c COMMAND
nvcc "${flags[@]}" -arch=$architecture tests/gpu/check_primitives.cu -o "$output/check_primitives"
nvcc -O2 -std=c++20 -Icsrc_kernels/include -Itests tests/gpu/check_local_attention.cpp "${objects[@]}" \
  -o "$output/check_local_attention"
[ -z "$compile_only" ] || { echo "Compiled; nothing was run."; exit 0; }

status=0
step() {  # step NAME command…: goes on after a failure, remembers it
  local name=$1
  shift
  echo "== $name"
  "$@" 2>&1 | tee "$output/$(echo "$name" | tr ' ' _).txt" || { echo "FAILED: $name"; status=1; }
}

primitives() { "$output/check_primitives" | diff - tests/gpu/primitives.golden && echo "as in tests/gpu/primitives.golden"; }
step "lane layouts" primitives
step "local attention" "$output/check_local_attention" tests/csrc_kernels/cuda_cases.csv
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck synccheck; do
    step "compute-sanitizer $tool" timeout 100 compute-sanitizer --tool $tool --error-exitcode 1 \
      "$output/check_local_attention" tests/csrc_kernels/cuda_cases.csv 127
  done
else
  echo "compute-sanitizer is not there: not run"
fi

torch=$(python3 -c 'import torch; print(torch.__path__[0])')
export LD_LIBRARY_PATH="$torch/lib:${LD_LIBRARY_PATH:-}"
if [ -x build/tests/zebra_bench_attention ]; then
  step "benchmark" timeout 180 build/tests/zebra_bench_attention --device cuda --csv "$output/attention.csv"
else
  echo "build/tests/zebra_bench_attention is not there: not run"
fi

for tests in test_ops test_distributed; do
  if [ -x build/tests/$tests ]; then
    step "$tests" timeout 120 build/tests/$tests "[cuda]"
  else
    echo "build/tests/$tests is not there: not run"
  fi
done

train_small_model() {
  local work=$output/training part
  rm -rf "$work"
  python3 scripts/python_corpus.py "$work/corpus" --max-files 200
  build/zebra data tokenizer --input "$work/corpus/train" --vocab-size 2048 --output "$work/tok.model"
  for part in train valid; do
    build/zebra data pack --input "$work/corpus/$part" --tokenizer "$work/tok.model" --output "$work/$part"
  done
  cat > "$work/run.yaml" <<RUN
run: {name: gpu-check, dir: $work/run, seed: 1, device: cuda}
model: {hidden_size: 512, intermediate_size: 1408, num_hidden_layers: 8, num_attention_heads: 8, num_key_value_heads: 4,
        self_attn_type: mix, layer_group_size: 4, window_size: 512}
data: {tokenizer: $work/tok.model, train: [{path: $work/train}], validation: [{path: $work/valid}], sequence_length: 2048}
optimizer: {lr: 1.0e-3}
schedule: {type: cosine, warmup_steps: 10}
train: {max_steps: 60, global_batch_size: 8, micro_batch_size: 8, precision: bf16}
checkpoint: {every_steps: 60}
eval: {every_steps: 60, max_tokens: 32768}
RUN
  build/zebra train "$work/run.yaml"
}
train_on_all_gpus() {
  local sharding
  for sharding in none optimizer gradients full; do
    bash scripts/launch/torchrun.sh "$(nvidia-smi -L | wc -l)" "$output/training/run.yaml" \
      --set run.dir="$output/training/$sharding" --set parallel.sharding=$sharding --set train.micro_batch_size=1
  done
}
if [ -x build/zebra ]; then
  export output
  step "training" timeout 120 bash -c "set -e; $(declare -f train_small_model); train_small_model"
  if (($(nvidia-smi -L | wc -l) > 1)); then
    step "training on all GPUs" timeout 240 bash -c "set -e; $(declare -f train_on_all_gpus); train_on_all_gpus"
  else
    echo "one GPU: sharded training not run"
  fi
else
  echo "build/zebra is not there: not run"
fi

echo "Results are in $output."
exit $status
