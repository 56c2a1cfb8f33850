#!/usr/bin/env bash
# Installs what Zebra needs to build and run: packages of the distribution (Debian 12 is proven) and, in .venv, the pinned
# torch wheel that holds LibTorch. May be run any number of times; does nothing where all is there.
#
#   bash scripts/setup.sh [--tests]     also the launchers that the tests of distributed training start, and clang-tidy
#   bash scripts/setup.sh --long        and the compiler that the fuzzers are built with, and scripts/requirements-long.txt
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
  g++ cmake ninja-build ccache git ca-certificates python3 python3-venv xz-utils
  libyaml-cpp-dev libcli11-dev nlohmann-json3-dev catch2 libsentencepiece-dev libzstd-dev zlib1g-dev libxxhash-dev
)
case "${1:-}" in
  "") ;;
  --tests) packages+=(openmpi-bin slurm-wlm munge clang-tidy) ;;
  --long) packages+=(openmpi-bin slurm-wlm munge clang-tidy clang libclang-rt-dev) ;;
  *) echo "usage: bash scripts/setup.sh [--tests | --long]" >&2; exit 2 ;;
esac

missing=()
for package in "${packages[@]}"; do
  dpkg-query --show --showformat='${Status}\n' "$package" 2>/dev/null | grep -q ' ok installed$' ||
    missing+=("$package")
done

if ((${#missing[@]})); then
  if ((EUID == 0)); then
    as_root=()
  elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    as_root=(sudo)
  else
    echo "These packages are missing: ${missing[*]}" >&2
    echo "Run as root, or with sudo: apt-get install ${missing[*]}" >&2
    exit 2
  fi
  echo "Installing ${#missing[@]} packages: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# Each list has a stamp, the list that was installed: a changed one, or an interrupted installation, installs again.
lists=(requirements)
if [ "${1:-}" = --long ]; then lists+=(requirements-long); fi
for list in "${lists[@]}"; do
  stamp=.venv/installed-$list.txt
  cmp -s "scripts/$list.txt" "$stamp" && continue
  echo "Installing the Python packages of scripts/$list.txt into .venv, torch among them (some 5 GB on disk)"
  .venv/bin/python -m pip --version >/dev/null 2>&1 || python3 -m venv --clear .venv
  # The first list pins torch for the others.
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement scripts/requirements.txt \
    --requirement "scripts/$list.txt"
  cp "scripts/$list.txt" "$stamp"
done
