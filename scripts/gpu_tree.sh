#!/usr/bin/env bash
# Lays out what scripts/gpu/run.sh needs, beside it: programs, libraries and cases from a build folder, and data to train on.
# What is missing from the build is left out. Called by gpu_bundle.sh and gpu_check.sh.
#
#   bash scripts/gpu_tree.sh BUILD_FOLDER TREE
set -euo pipefail
if (($# != 2)); then sed -n 's/^#   bash/usage: bash/p' "$0" >&2; exit 2; fi
build=$(realpath "$1")
tree=$(realpath -m "$2")
cd "$(dirname "$0")/.."
vocabulary_size=8192

rm -rf "$tree"/{bin,lib,runs}
cmake --install "$build" --component gpu --prefix "$tree" --strip
revision=$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain 2>/dev/null)" ] || revision+=" with changes"
echo "$revision" >"$tree/revision.txt"

# Packed documents of some 700 tokens. Made once: neither the programs nor the checkout change them.
data=$tree/data
if [ ! -e "$data" ] && [ -x "$tree/bin/zebra" ]; then
  rm -rf "$data.partial"
  python=$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)
  torch=$("$python" -c 'import importlib.util; print(importlib.util.find_spec("torch").submodule_search_locations[0])')
  zebra() { LD_LIBRARY_PATH=$tree/lib:$torch/lib "$tree/bin/zebra" "$@"; }
  corpus=$(mktemp -d)
  trap 'rm -rf "$corpus"' EXIT
  "$python" scripts/python_corpus.py "$corpus/files"
  for part in train valid; do "$python" scripts/cut_documents.py "$corpus/files/$part" >"$corpus/$part.jsonl"; done
  mkdir -p "$data.partial"
  zebra data tokenizer --input "$corpus/train.jsonl" --vocab-size "$vocabulary_size" --output "$data.partial/tokenizer.model"
  for part in train valid; do
    zebra data pack --input "$corpus/$part.jsonl" --tokenizer "$data.partial/tokenizer.model" --output "$data.partial/$part"
  done
  mv "$data.partial" "$data"
fi
