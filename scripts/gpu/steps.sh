#!/usr/bin/env bash
# One step of plan.txt: bash steps.sh NAME. run.sh calls it, with BUNDLE, the folder of both, OUTPUT, the results', and WORK,
# the run's own. Ends with 0 where all was right, and with 77 where the step is not for this machine.
set -euo pipefail
bin=$BUNDLE/bin
export ZEBRA_DATA=$BUNDLE/data ZEBRA_RUNS=$WORK/runs

ceilings() {
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv || echo "no nvidia-smi"
  python3 "$BUNDLE/peers.py" ceilings "$OUTPUT/peers.jsonl"
}

# The layouts that the emulation and the PTX interpreter take from the manual.
lane_layouts() {
  "$bin/check_primitives" >"$WORK/layouts.txt"
  if diff "$WORK/layouts.txt" "$BUNDLE/primitives.golden" >"$WORK/layouts.diff"; then
    echo "right: lane layouts as in primitives.golden" | tee -a "$OUTPUT/hopper.txt"
  else
    { echo "wrong: lane layouts; the card's (<) and primitives.golden's (>):"; cat "$WORK/layouts.diff"; } | tee -a "$OUTPUT/hopper.txt"
    return 1
  fi
}

hopper() { "$bin/hopper_primitives" | tee -a "$OUTPUT/hopper.txt"; }
local_attention() { "$bin/check_local_attention" "$BUNDLE/cases.csv"; }
row_kernels() { "$bin/check_row_kernels"; }

# Catch2 2 ends with 0 where a filter matches no test.
catch_tests() {
  "$bin/$1" "[cuda]" | tee "$WORK/catch.txt"
  ! grep "No tests ran" "$WORK/catch.txt"
}
operators() { catch_tests test_ops; }
trainer() { catch_tests test_train; }
nccl() { catch_tests test_distributed; }

attention_bench() {  # attention_bench NAME option…
  "$bin/zebra_bench_attention" --device cuda --csv "$WORK/$1.csv" "${@:2}"
}
attention() { attention_bench attention -D 64,128 -W 128,512,1024,4096 -T 16384 -H 16; }
attention_grouped() {
  attention_bench attention_grouped -D 128 -W 512,1024 -T 16384 -H 32 --key-heads 8
  attention_bench attention_long -D 128 -W 512 -T 131072 -H 16 --peers flash-window --repetitions 3
}
attention_documents() { attention_bench attention_documents -D 64,128 -W 512,16383 -T 16384 -H 16 --document-length 700; }

peers() { python3 "$BUNDLE/peers.py" attention "$OUTPUT/peers.jsonl"; }
flex_attention() { python3 "$BUNDLE/peers.py" flex "$OUTPUT/peers.jsonl"; }

training_steps() {  # training_steps NAME SIZE DOCUMENTS [option…]
  "$bin/zebra" bench "$BUNDLE/runs/$2.yaml" --set data.document_mask="$3" "${@:4}" --steps 4 --warm-up 3 --json "$WORK/$1.json"
}
steps_350m() { training_steps steps_350m 350m false; }
steps_350m_packed() { training_steps steps_350m_packed 350m true; }
steps_350m_free() { training_steps steps_350m_free 350m false --set train.deterministic=false; }
steps_1.3b() { training_steps steps_1.3b 1.3b false; }
steps_1.3b_packed() { training_steps steps_1.3b_packed 1.3b true; }

train() {  # train NAME [option…]: the small model, in a folder of that name
  "$bin/zebra" train "$BUNDLE/runs/small.yaml" --set run.dir="$ZEBRA_RUNS/$1" "${@:2}"
}
same_checkpoints() {  # same_checkpoints NAME NAME: to the bit
  local file count=0
  for file in "$ZEBRA_RUNS/$1"/checkpoints/step-*/*.safetensors; do
    cmp "$file" "$ZEBRA_RUNS/$2${file#"$ZEBRA_RUNS/$1"}"
    count=$((count + 1))
  done
  echo "$1 and $2: $count files of checkpoints with the same bits"
}
equal_bits() {
  train first
  train second
  same_checkpoints first second
}
# The same with the micro-step as a CUDA graph, and how quick each is.
equal_graph() {
  local run
  [ -d "$ZEBRA_RUNS/first" ] || train first
  train graph --set train.cuda_graph=true
  same_checkpoints first graph
  for run in first graph; do
    echo "$run: $(grep -o '"tokens_per_second":[^,}]*' "$ZEBRA_RUNS/$run/metrics.jsonl" | tail -n 1)"
  done
}

sharded() {
  local gpus sharding
  gpus=$(python3 "$BUNDLE/peers.py" gpus)
  ((gpus > 1)) || { echo "one GPU: nothing to share among several"; return 77; }
  for sharding in none optimizer gradients full; do
    ZEBRA=$bin/zebra "$bin/torchrun.sh" "$gpus" "$BUNDLE/runs/small.yaml" --set run.dir="$ZEBRA_RUNS/$sharding" \
      --set parallel.sharding=$sharding --set train.global_batch_size="$gpus" --set train.micro_batch_size=1
  done
}

# One launch of each kernel of local attention at D = 128, W = 512. The clocks are left as they are.
kernel_profile() {
  ncu --clock-control none --set full --launch-count 3 --force-overwrite --export "$OUTPUT/kernels" \
    --kernel-name 'regex:^(forward|query_gradient|key_value_gradient)_kernel' \
    "$bin/zebra_bench_attention" --device cuda -D 128 -W 512 -H 16 --peers none --repetitions 1
  ncu --import "$OUTPUT/kernels.ncu-rep" --page details
}

sanitized() {
  compute-sanitizer --tool "$1" --error-exitcode 1 "$bin/check_row_kernels"
  compute-sanitizer --tool "$1" --error-exitcode 1 "$bin/check_local_attention" "$BUNDLE/cases.csv" 127
}
memcheck() { sanitized memcheck; }
racecheck() { sanitized racecheck; }
synccheck() { sanitized synccheck; }

"$1"
