#!/usr/bin/env bash
# Runs EleutherAI's lm-evaluation-harness on what `zebra export` wrote, in an environment of its own, .venv-lm-eval (the first
# call installs it: some 6 GB on disk, torch included).
#
#   bash scripts/lm_eval.sh EXPORT_DIR [OPTION_OF_LM_EVAL…]
#
# For example --tasks hellaswag,arc_easy --batch_size 16 --output_path results. Tasks fetch their data sets from the network;
# those in a folder of --include_path may read local files.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
lm_eval="lm_eval[hf]==0.4.13"

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
}

refuse() {
  echo "$1" >&2
  exit 2
}

case "${1:-}" in
  "" | -?*) [[ ${1:-} == -h || ${1:-} == --help ]] && usage && exit 0
    refuse "usage: bash scripts/lm_eval.sh EXPORT_DIR [OPTION_OF_LM_EVAL…], see --help" ;;
esac
export_folder=$1
shift
[ -d "$export_folder" ] || refuse "$export_folder: no folder; make one with: build/zebra export RUN --output $export_folder"
if [ ! -f "$export_folder/config.json" ] || ! compgen -G "$export_folder/*.safetensors" >/dev/null; then
  refuse "$export_folder: not an export: it lacks config.json or weights; make one with: build/zebra export RUN --output FOLDER"
fi

# torch and transformers as Zebra is tested with. The stamp is the list that was installed, as in scripts/setup.sh.
environment=$root/.venv-lm-eval
stamp=$environment/installed-requirements.txt
requirements=$(grep -E '^(torch|transformers)==' "$root/scripts/requirements.txt" && echo "$lm_eval")
if [ "$(cat "$stamp" 2>/dev/null)" != "$requirements" ]; then
  echo "Installing lm-evaluation-harness into $environment (some 6 GB on disk)" >&2
  "$environment/bin/python" -m pip --version >/dev/null 2>&1 || python3 -m venv --clear "$environment"
  "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --requirement <(echo "$requirements")
  echo "$requirements" >"$stamp"
fi

exec "$environment/bin/lm_eval" run --model hf --model_args "pretrained=$export_folder,trust_remote_code=True" "$@"
