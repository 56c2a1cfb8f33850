#!/usr/bin/env bash
# Installs what Zebra needs to build and run: packages of the distribution (Debian 12 is proven) and, in .venv, the torch wheel
# that holds LibTorch. May be run any number of times; does nothing where all is there.
#
#   bash scripts/setup.sh [--tests | --long | --no-packages] [--torch VERSION] [--venv FOLDER]
#
#   --tests        also the launchers that the tests of distributed training start, and clang-tidy
#   --long         and the compiler that the fuzzers are built with, and scripts/requirements-long.txt
#   --no-packages  .venv alone: compiler and libraries come from elsewhere (docs/install.md)
#   --torch        this version of torch, in place of the one that is there. Without it that one stays, and where there is none it
#                  is that of scripts/requirements.txt
#   --venv         another virtual environment than .venv, for a build with -DTORCH_ROOT=FOLDER/lib/python3.*/site-packages/torch
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
  g++ cmake ninja-build ccache git ca-certificates python3 python3-venv xz-utils
  libyaml-cpp-dev libcli11-dev nlohmann-json3-dev catch2 libsentencepiece-dev libzstd-dev zlib1g-dev libxxhash-dev
)
usage() { sed -n 's/^#   bash/usage: bash/p' "$0" >&2; exit 2; }
torch= venv=.venv
lists=(requirements)
while (($#)); do
  case $1 in
    --tests) packages+=(openmpi-bin slurm-wlm munge clang-tidy) ;;
    --long)
      packages+=(openmpi-bin slurm-wlm munge clang-tidy clang libclang-rt-dev)
      lists+=(requirements-long) ;;
    --no-packages) packages=() ;;
    --torch | --venv)
      (($# >= 2)) && [ -n "$2" ] || usage
      if [ "$1" = --torch ]; then torch=$2; else venv=$2; fi
      shift ;;
    *) usage ;;
  esac
  shift
done

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
stamp_of() { echo "$venv/installed-$1.txt"; }
[ -n "$torch" ] || torch=$(sed -n 's/^torch==//p' "$(stamp_of requirements)" 2>/dev/null || true)
# The list with the version of torch that is wanted, which pins it for the others.
wanted() { sed "${torch:+s/^torch==.*/torch==$torch/}" "scripts/$1.txt"; }
for list in "${lists[@]}"; do
  stamp=$(stamp_of "$list")
  [ "$(cat "$stamp" 2>/dev/null)" != "$(wanted "$list")" ] || continue
  echo "Installing the Python packages of scripts/$list.txt into $venv, torch among them (some 5 GB on disk)"
  rm -f "$stamp"
  "$venv/bin/python" -m pip --version >/dev/null 2>&1 || python3 -m venv --clear "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement <(wanted requirements) \
    --requirement <(wanted "$list")
  wanted "$list" >"$stamp"
done
