#!/usr/bin/env bash
# Long-context adaptation on two CPU cores, from a bare machine to a table: installs what is missing, builds, pretrains a tiny
# model at 128 tokens, adapts it to 512 with all layers global, with the Zebra layout and with all layers local, and evaluates
# at one to four times the original length before and after (docs/adaptation.md): a quarter of an hour. Everything goes into
# runs/adapt; running it again goes on where it stopped.
# usage: bash scripts/adapt_tiny.sh [options of zebra train, for every training]
# ZEBRA names a binary that is built already; then nothing is installed or built.
set -euo pipefail
cd "$(dirname "$0")/.."
started=$SECONDS
folder=runs/adapt

step() { printf '\n== %s (after %d s)\n' "$1" $((SECONDS - started)); }

if [ -z "${ZEBRA:-}" ]; then
  step "Set-up and build"
  bash scripts/setup.sh
  cmake --preset release -DZEBRA_TESTS=OFF -DZEBRA_CUDA=OFF >/dev/null
  cmake --build --preset release --target zebra
fi
zebra=${ZEBRA:-build/zebra}

is_evaluated() { [ -f "$folder/evaluation/$1.json" ]; }

# evaluate NAME: the perplexity of the run of that name, by length
evaluate() {
  "$zebra" eval "$folder/$1" --lengths 128,256,512 --max-tokens 131072 --json "$folder/evaluation/$1.json"
}

# adapt ARM NAME [options of zebra train]: trains in the folder NAME, notes what it costs, and evaluates. The arms: `zebra` is
# configs/adapt/tiny-adapt.yaml; `full` and `local` have other layers, `linear` another scaling; `short` is trained on as many
# tokens, 128 at a time, all layers global.
adapt() {
  local arm=$1 name=$2
  if is_evaluated "$name"; then return; fi
  local -a settings=(--set "run.dir=$folder/$name")
  shift 2
  case $arm in
    full | local) settings+=(--set model.self_attn_type=$arm) ;;
    linear) settings+=(--set model.rope_scaling.type=linear) ;;
    short) settings+=(--set model.self_attn_type=full --set "model.rope_scaling={type: none, factor: 1}"
      --set data.sequence_length=128 --set train.global_batch_size=32 --set train.micro_batch_size=32) ;;
  esac
  "$zebra" plan configs/adapt/tiny-adapt.yaml "${settings[@]}" --json >"$folder/evaluation/$name.plan.json"
  "$zebra" train configs/adapt/tiny-adapt.yaml "${settings[@]}" "$@"
  evaluate "$name"
}

step "Corpus and tokenizer"
bash scripts/python_data.sh $folder 512
mkdir -p $folder/evaluation

step "Pretraining at 128 tokens"
if ! is_evaluated origin; then
  "$zebra" train configs/adapt/tiny-pretrain.yaml "$@"
  evaluate origin
fi

# One step at a rate that changes no weight: what the new layout and positions alone do.
for arm in full zebra local; do
  step "Before adaptation: $arm"
  adapt $arm before-$arm --stop-after 1 --set optimizer.lr=1e-30 "$@"
done

for arm in full zebra local linear short; do
  step "Adaptation: $arm"
  adapt $arm $arm "$@"
done

step "Result"
.venv/bin/python scripts/adaptation_table.py $folder | tee $folder/table.md
