#!/usr/bin/env bash
# Makes data to train on without a download: a corpus of the Python source that ships with the interpreter, a tokenizer, and
# packed datasets. What is there already stays. usage: bash scripts/python_data.sh FOLDER VOCABULARY_SIZE
# ZEBRA names another command than build/zebra, ZEBRA_PYTHON another Python than that of .venv.
set -euo pipefail
if [ $# -ne 2 ]; then
  echo "usage: bash scripts/python_data.sh FOLDER VOCABULARY_SIZE" >&2
  exit 2
fi
folder=$(realpath -m "$1")
vocabulary_size=$2
home=$(cd "$(dirname "$0")/.." && pwd)
zebra=${ZEBRA:-$home/build/zebra}

[ -d "$folder/corpus" ] || "${ZEBRA_PYTHON:-$home/.venv/bin/python}" "$home/scripts/python_corpus.py" "$folder/corpus"
[ -f "$folder/tokenizer.model" ] ||
  "$zebra" data tokenizer --input "$folder/corpus/train" --vocab-size "$vocabulary_size" --output "$folder/tokenizer.model"
for part in train valid; do
  [ -d "$folder/data/$part" ] ||
    "$zebra" data pack --input "$folder/corpus/$part" --tokenizer "$folder/tokenizer.model" --output "$folder/data/$part"
done
