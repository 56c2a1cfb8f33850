#!/usr/bin/env bash
# Makes data to train on without a download: a corpus of the Python source that ships with the interpreter, a tokenizer, and
# packed datasets. What is there already stays. usage: bash scripts/python_data.sh FOLDER VOCABULARY_SIZE
set -euo pipefail
if [ $# -ne 2 ]; then
  echo "usage: bash scripts/python_data.sh FOLDER VOCABULARY_SIZE" >&2
  exit 2
fi
folder=$(realpath -m "$1")
vocabulary_size=$2
cd "$(dirname "$0")/.."

[ -d "$folder/corpus" ] || .venv/bin/python scripts/python_corpus.py "$folder/corpus"
[ -f "$folder/tokenizer.model" ] ||
  build/zebra data tokenizer --input "$folder/corpus/train" --vocab-size "$vocabulary_size" --output "$folder/tokenizer.model"
for part in train valid; do
  [ -d "$folder/data/$part" ] ||
    build/zebra data pack --input "$folder/corpus/$part" --tokenizer "$folder/tokenizer.model" --output "$folder/data/$part"
done
