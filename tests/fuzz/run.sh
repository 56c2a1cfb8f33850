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

# The sources of each target, without LibTorch: it runs thousands of inputs a second. The reading of YAML is shared by two.
file="base/file base/bus_error base/message"
yaml="config/* base/text base/json_reader $file"
declare -A sources=(
  [safetensors_header]="checkpoint/safetensors_header base/json_reader base/text"
  [manifest]="checkpoint/manifest checkpoint/safetensors_header base/json_reader base/text $file"
  [huggingface_config]="interop/huggingface_config interop/huggingface_architecture interop/huggingface_leftovers interop/huggingface_rope base/json_reader base/text"
  [run_file]="$yaml"
  [sweep_file]="ablation/sweep_file ablation/axes ablation/combinations ablation/sweep_folder train/metrics_row $yaml"
  [json_line]="data/document_reader data/json_lines data/content_kind data/utf8 data/input_stream base/text base/json_reader $file"
  [metrics_row]="ablation/sweep_folder train/metrics_row base/text base/json_reader $file"
)
targets=(safetensors_header manifest huggingface_config run_file sweep_file json_line metrics_row)
share=$((seconds / ${#targets[@]}))
((share > 0)) || share=1

# Each source is compiled once, and again only where it, or a header, has changed.
newest_header=$(find src tests/fuzz -name '*.h' -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2-)
compile() {
  local object=$build/objects/${1%.cpp}.o
  [[ $object -nt $1 && $object -nt $newest_header ]] && return
  mkdir -p "$(dirname "$object")"
  clang++ "${flags[@]}" -c "$1" -o "$object"
}
export -f compile
export build newest_header
FLAGS=${flags[*]}
for target in "${targets[@]}"; do
  echo "tests/fuzz/fuzz_$target.cpp"
  for source in ${sources[$target]}; do compgen -G "src/$source.cpp" || true; done
done | sort -u | FLAGS=$FLAGS xargs -P "$(nproc)" -I {} bash -c 'read -ra flags <<<"$FLAGS"; compile {}'

failed=0
for target in "${targets[@]}"; do
  objects=("$build/objects/tests/fuzz/fuzz_$target.o")
  for source in ${sources[$target]}; do
    while read -r file; do objects+=("$build/objects/${file%.cpp}.o"); done < <(compgen -G "src/$source.cpp")
  done
  clang++ "${flags[@]}" "${objects[@]}" -lyaml-cpp -lxxhash -lz -lzstd -o "$build/fuzz_$target"
  mkdir -p "$build/corpus/$target"
  echo "== $target, $share s"
  # An input may take 20 s and 1 GiB, the sanitizers' own memory included.
  if ASAN_OPTIONS=quarantine_size_mb=64 "$build/fuzz_$target" "$build/corpus/$target" "tests/fuzz/seeds/$target" \
    -dict="tests/fuzz/$target.dict" -max_total_time="$share" -max_len=4096 -timeout=20 -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="$build/findings/$target-" >"$build/$target.log" 2>&1; then
    grep -E "^stat::(number_of_executed_units|average_exec_per_sec|slowest_unit_time_sec|peak_rss_mb)|^Done" "$build/$target.log"
    echo "nothing found"
  else
    failed=1
    tail -n 60 "$build/$target.log"
    echo "a finding of $target: see $build/findings and $build/$target.log" >&2
  fi
done
exit $failed
