#!/usr/bin/env bash
# Long instruction tuning on two CPU cores, from a bare machine to a table: installs what is missing, builds, and for each of three
# seeds pretrains a tiny model at 64 tokens, adapts it to 256 with all layers global, with the Zebra layout and with all layers
# local, tunes each on questions about contexts of that length, and asks new questions before and after
# (docs/instruction-tuning.md). Everything goes into runs/instruct; running it again goes on where it stopped.
# usage: bash scripts/instruct_tiny.sh [options of zebra train, for every training]
# ZEBRA names a binary that is built already; then nothing is installed or built.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/stages.sh
folder=runs/instruct
seeds=(1 2 3)

if [ -z "${ZEBRA:-}" ]; then
  stage "Set-up and build"
  bash scripts/setup.sh
  cmake --preset release -DZEBRA_TESTS=OFF -DZEBRA_CUDA=OFF >/dev/null
  cmake --build --preset release --target zebra
fi
zebra=${ZEBRA:-build/zebra}

# The models are tiny: a core each is quicker than both for one.
cores=$(nproc)  # before the next line, which it would heed
export OMP_NUM_THREADS=1
jobs_started=()
# start COMMAND…: as soon as a core is free. finish: waits for all that were started, and fails where one did.
start() {
  while (($(jobs -rp | wc -l) >= cores)); do sleep 0.2; done
  "$@" &
  jobs_started+=($!)
}
finish() {
  for job in "${jobs_started[@]}"; do wait "$job"; done
  jobs_started=()
}

# train NAME FILE [options of zebra train]: in the folder NAME, and asks; once. What it says goes into a file beside the folder.
train() {
  local name=$1 file=$2 log=$folder/$1.log
  shift 2
  if [ -f "$folder/$name.json" ]; then return; fi
  mkdir -p "$(dirname "$log")"
  if ! { "$zebra" train "configs/instruct/$file" --set "run.dir=$folder/$name" "$@" &&
    "$zebra" eval "$folder/$name" --answers $folder/asked.jsonl --json "$folder/$name.json"; } >>"$log" 2>&1; then
    tail -n 5 "$log" >&2
    return 1
  fi
  echo "$name"
}

# pretrain SEED [options]
pretrain() {
  local seed=$1
  shift
  train "$seed/origin" tiny-pretrain.yaml --set "run.seed=$seed" "$@"
}

# tune SEED LAYOUT [options]: `mix` is that of configs/instruct/tiny-adapt.yaml.
tune() {
  local seed=$1 layout=$2
  shift 2
  train "$seed/$layout-adapted" tiny-adapt.yaml --set "run.seed=$seed" --set "model.init_from=$folder/$seed/origin" \
    --set "model.self_attn_type=$layout" "$@"
  train "$seed/$layout-instructed" tiny-instruct.yaml --set "run.seed=$seed" \
    --set "model.init_from=$folder/$seed/$layout-adapted" "$@"
}

# made NAME SCRIPT OPTIONS…: what the script prints, in the file of that name
made() {
  local name=$1 script=$2
  shift 2
  if [ -f "$folder/$name" ]; then return; fi
  .venv/bin/python "scripts/$script" "$@" >"$folder/$name.partial"
  mv "$folder/$name.partial" "$folder/$name"
}

# packed NAME: the dataset of the lines in NAME.jsonl
packed() {
  [ -d "$folder/data/$1" ] ||
    "$zebra" data pack --input "$folder/$1.jsonl" --tokenizer $folder/tokenizer.model --output "$folder/data/$1"
}

stage "Corpus, tokenizer and questions"
mkdir -p $folder
[ -d $folder/corpus ] || .venv/bin/python scripts/python_corpus.py $folder/corpus
start made repeats-64.jsonl synthetic_repeats.py --examples 32000 --words 60
start made repeats-256.jsonl synthetic_repeats.py --examples 4000 --words 250 --seed 2
start made questions.jsonl synthetic_qa.py --kinds setting --examples 3000 --bytes 900
start made conversations.jsonl synthetic_qa.py --kinds setting --examples 3000 --bytes 900 --turns 4 --seed 2
# Settings are drawn anew with every seed. Nearer ones than some lines are half of them the newest, which a guess finds.
start made asked.jsonl synthetic_qa.py --kinds setting --examples 300 --bytes 900 --short 0 --distance 120,900 --seed 3
finish
# Its pieces are also the words of settings, one each.
[ -f $folder/tokenizer.model ] || "$zebra" data tokenizer --input $folder/corpus/train $folder/repeats-64.jsonl \
  $folder/questions.jsonl --vocab-size 768 --output $folder/tokenizer.model
bash scripts/python_data.sh $folder 768
for name in repeats-64 repeats-256 questions; do packed $name; done
[ -d $folder/data/conversations ] || "$zebra" data chat --input $folder/conversations.jsonl --tokenizer $folder/tokenizer.model \
  --template configs/instruct/questions.yaml --output $folder/data/conversations

stage "Pretraining at 64 tokens"
for seed in "${seeds[@]}"; do start pretrain "$seed" "$@"; done
finish

stage "Adaptation to 256 tokens, and instruction tuning"
for seed in "${seeds[@]}"; do
  for layout in full mix local; do start tune "$seed" "$layout" "$@"; done
done
finish

stage "Result"
.venv/bin/python scripts/instruct_table.py $folder "${seeds[@]}" | tee $folder/table.md
