#!/usr/bin/env bash
# From a bare machine to a trained model: installs what is missing, builds, trains a tokenizer and a small Zebra, evaluates,
# samples and draws the loss. Running it again goes on where it stopped. Ends with a table of what each stage took.
#
#   bash scripts/quickstart.sh                        on the Python source that ships with the interpreter, in ./quickstart
#   bash scripts/quickstart.sh --text FILE_OR_FOLDER  on a text of your own, with sizes chosen by its length, in ./quickstart-text
#     [--output FOLDER]                               or in this folder
#
# Where ZEBRA names a command it is used, without set-up and build, with the Python that ZEBRA_PYTHON names and in the folder of
# the caller: that is what zebra-quickstart of the wheel zebra-lm does.
set -euo pipefail

command="bash scripts/quickstart.sh"
[ -z "${ZEBRA:-}" ] || command=zebra-quickstart
usage() { echo "usage: $command [--text FILE_OR_FOLDER [--output FOLDER]]" >&2; exit 2; }

text= folder=
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || usage
  case $1 in
    --text) text=$(realpath -m "$2") ;;
    --output) folder=$(realpath -m "$2") ;;
    *) usage ;;
  esac
  shift 2
done
if [ -n "$folder" ] && [ -z "$text" ]; then usage; fi
home=$(cd "$(dirname "$0")/.." && pwd)
installed=${ZEBRA:-}
[ -n "$installed" ] || cd "$home"
if [ -n "$text" ]; then
  folder=${folder:-quickstart-text} run_file=${folder:-quickstart-text}/run.yaml
  if [ ! -e "$text" ]; then echo "$text: there is no such file or folder" >&2; exit 2; fi
  # What was begun with one text does not go on with another.
  if [ -f "$folder/text" ] && [ "$(cat "$folder/text")" != "$text" ]; then
    echo "$folder was made of $(cat "$folder/text"); choose another with --output FOLDER, or remove it" >&2; exit 2
  fi
else
  folder=quickstart run_file=${installed:+$home/}configs/quickstart.yaml
fi
scripts=$home/scripts
. "$scripts/stages.sh"

zebra=zebra  # as the reader calls it
if [ -n "$installed" ]; then
  export ZEBRA_PYTHON=${ZEBRA_PYTHON:-python3}
else
  zebra=build/zebra
  export ZEBRA=$home/build/zebra ZEBRA_PYTHON=$home/.venv/bin/python
  stage "Set-up"
  bash scripts/setup.sh

  stage "Build"
  cmake --preset release -DZEBRA_TESTS=OFF -DZEBRA_CUDA=OFF >/dev/null
  cmake --build --preset release --target zebra
fi

stage "Data and tokenizer"
if [ -n "$text" ]; then
  mkdir -p "$folder"
  echo "$text" >"$folder/text"
  [ -f "$run_file" ] || "$ZEBRA_PYTHON" "$scripts"/text_run.py "$text" "$folder"
  [ -f "$folder/tokenizer.model" ] || "$ZEBRA" data tokenizer --input "$text" \
    --vocab-size "$(sed -n 's/^# vocabulary: //p' "$run_file")" --output "$folder/tokenizer.model"
  # The two datasets are put in place one after the other: one alone is of a command that was stopped.
  [ -d "$folder/data/train" ] && [ -d "$folder/data/valid" ] || "$ZEBRA" data pack --input "$text" \
    --tokenizer "$folder/tokenizer.model" --output "$folder/data/train" --holdout 0.05 --holdout-output "$folder/data/valid" \
    --overwrite
else
  bash "$scripts/python_data.sh" quickstart 2048
fi

stage "Training"
# bfloat16 products are several times quicker where the processor has them, and slower where it has not.
precision=fp32
if grep -qw avx512_bf16 /proc/cpuinfo; then precision=bf16; fi
# A run that was begun keeps its precision, also on another machine.
if [ -f "$folder/run/config.yaml" ]; then
  precision=$(sed -n 's/^ *precision: *//p' "$folder/run/config.yaml")
fi
"$ZEBRA" plan "$run_file" --set train.precision=$precision
"$ZEBRA" train "$run_file" --set train.precision=$precision

stage "Evaluation on what was held out"
"$ZEBRA" eval "$folder/run" --json "$folder/evaluation.json"
if [ -z "$text" ]; then
  "$ZEBRA_PYTHON" "$scripts"/text_baselines.py --evaluation quickstart/evaluation.json --text quickstart/corpus/valid \
    --dataset quickstart/data/valid
fi

stage "A sample"
prompt='def read_'
[ -z "$text" ] || prompt=$(sed -n 's/^# prompt: //p' "$run_file")
"$ZEBRA" generate "$folder/run" --prompt "$prompt" --max-new-tokens 120 --temperature 0.7

stage "Loss"
"$ZEBRA_PYTHON" "$scripts"/plot_loss.py "$folder/run"

printf -v prompt %q "$prompt"
cat <<END

What to try next:
  $zebra generate $folder/run --prompt $prompt --temperature 0.5
  $zebra eval $folder/run --lengths 64,128,256,512
  $zebra train $run_file --set run.dir=runs/all-global --set model.self_attn_type=full
END
