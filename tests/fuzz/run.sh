#!/usr/bin/env bash
# Fuzzes the readers of files that come from elsewhere, with libFuzzer under AddressSanitizer and UndefinedBehaviorSanitizer.
# Ends with 1 when one of them crashes, hangs, or accepts what it must not; the input then lies in build-fuzz/findings.
#
#   bash tests/fuzz/run.sh [SECONDS]     all targets together, 600 by default
#
# What it learns stays in build-fuzz/corpus and is where the next run begins, beside tests/fuzz/seeds.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-600}
if ! [[ $seconds =~ ^[1-9][0-9]*$ ]] || (($# > 1)); then
  echo "usage: bash tests/fuzz/run.sh [SECONDS]" >&2
  exit 2
fi
build=build-fuzz
flags=(-std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
       -Wall -Wextra -Werror -Isrc -Itests)
mkdir -p $build/findings
if ! echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
  clang++ -x c++ - "${flags[@]}" -o $build/smoke 2>$build/smoke.log; then
  cat $build/smoke.log >&2
  echo "clang++ cannot build fuzz targets: run scripts/setup.sh --long" >&2
  exit 2
fi

# The sources of each target, without LibTorch: a target builds in seconds and runs thousands of inputs a second.
declare -A sources=(
  [safetensors_header]="checkpoint/safetensors_header base/json_reader base/text"
  [manifest]="checkpoint/manifest base/json_reader base/text base/file"
  [huggingface_config]="interop/huggingface_config interop/huggingface_rope base/json_reader base/text"
)
targets=(safetensors_header manifest huggingface_config)

failed=0
for target in "${targets[@]}"; do
  files=()
  for source in ${sources[$target]}; do files+=("src/$source.cpp"); done
  clang++ "${flags[@]}" "tests/fuzz/fuzz_$target.cpp" "${files[@]}" -lxxhash -o "$build/fuzz_$target"
  mkdir -p "$build/corpus/$target"
  share=$((seconds / ${#targets[@]}))
  echo "== $target, $share s"
  if "$build/fuzz_$target" "$build/corpus/$target" "tests/fuzz/seeds/$target" -dict="tests/fuzz/$target.dict" \
    -max_total_time="$share" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$build/findings/$target-" >"$build/$target.log" 2>&1; then
    grep -E "^stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb)|^Done" "$build/$target.log"
    echo "nothing found"
  else
    failed=1
    tail -n 60 "$build/$target.log"
    echo "a finding of $target: see $build/findings and $build/$target.log" >&2
  fi
done
exit $failed
