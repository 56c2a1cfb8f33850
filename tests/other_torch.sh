#!/usr/bin/env bash
# Builds Zebra with another version of torch than that of .venv, in folders of its own, and runs with it all C++ tests, the
# end-to-end tests of training, resuming, ranks, exports and the installed package, and the tests of the wheel zebra_attention
# in dist/, which is one file for all versions.
#
#   bash tests/other_torch.sh VERSION [VENV]     VENV: a virtual environment that has it (default .venv-torch-VERSION, made)
set -euo pipefail
if (($# < 1 || $# > 2)); then sed -n 's/^#   bash/usage: bash/p' "$0" >&2; exit 2; fi
cd "$(dirname "$0")/.."
version=$1
venv=${2:-.venv-torch-$version}
build=build-torch-$version

[ $# -eq 2 ] || bash scripts/setup.sh --torch "$version" --venv "$venv"
python=$(realpath -s "$venv")/bin/python
cmake --preset release -B "$build" \
  -DTORCH_ROOT="$("$python" -c 'import importlib.util; print(importlib.util.find_spec("torch").submodule_search_locations[0])')"
cmake --build "$build"
[[ $("$build/zebra" --version) == *"LibTorch $version"* ]]
ctest --test-dir "$build" --parallel "$(nproc)" --output-on-failure
ZEBRA_BUILD=$PWD/$build .venv/bin/python -m pytest -q tests/end_to_end/test_{command,train,going_on,distributed,export,install}.py
"$python" -m pytest -q tests/zebra_attention
