#!/usr/bin/env bash
# From a bare machine to a trained model: installs what is missing, builds, makes a corpus from the Python source that ships
# with the interpreter, trains a tokenizer and a small Zebra on it, evaluates, samples and draws the loss. Everything goes
# into ./quickstart; running it again goes on where it stopped. Ends with a table of what each stage took.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/stages.sh

stage "Set-up"
bash scripts/setup.sh

stage "Build"
cmake --preset release -DZEBRA_TESTS=OFF -DZEBRA_CUDA=OFF >/dev/null
cmake --build --preset release --target zebra

stage "Corpus and tokenizer"
bash scripts/python_data.sh quickstart 2048

stage "Training"
# bfloat16 products are several times quicker where the processor has them, and slower where it has not.
precision=fp32
if grep -qw avx512_bf16 /proc/cpuinfo; then precision=bf16; fi
# A run that was begun keeps its precision, also on another machine.
if [ -f quickstart/run/config.yaml ]; then
  precision=$(sed -n 's/^ *precision: *//p' quickstart/run/config.yaml)
fi
build/zebra plan configs/quickstart.yaml --set train.precision=$precision
build/zebra train configs/quickstart.yaml --set train.precision=$precision

stage "Evaluation on held-out files"
build/zebra eval quickstart/run --json quickstart/evaluation.json
.venv/bin/python scripts/text_baselines.py --evaluation quickstart/evaluation.json --text quickstart/corpus/valid \
  --dataset quickstart/data/valid

stage "A sample"
build/zebra generate quickstart/run --prompt $'def read_' --max-new-tokens 120 --temperature 0.7

stage "Loss"
.venv/bin/python scripts/plot_loss.py quickstart/run

cat <<'EOF'

What to try next:
  build/zebra generate quickstart/run --prompt 'import ' --temperature 0.5
  build/zebra eval quickstart/run --lengths 64,128,256,512
  build/zebra train configs/quickstart.yaml --set run.dir=runs/all-global --set model.self_attn_type=full
EOF
