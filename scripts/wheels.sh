#!/usr/bin/env bash
# Makes dist/zebra_attention-VERSION-py3-none-manylinux_….whl: csrc_kernels for every PyTorch since 2.10, on every Python
# since 3.10. Needs what scripts/setup.sh installs. With nvcc in reach the CUDA kernels are in it too (ZEBRA_CUDA=OFF: never).
# The tag names the oldest glibc that the libraries run on: 2.32 for what is built on Debian 12 without CUDA.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! .venv/bin/python -c 'import scikit_build_core, torch' 2>/dev/null; then
  echo "No .venv with torch and scikit-build-core: run scripts/setup.sh." >&2
  exit 2
fi

# wheel PLATFORM: a build in build/zebra_attention and a wheel of it. Not isolated: torch's headers are those of .venv.
wheel() {
  rm -f dist/zebra_attention-*.whl
  _PYTHON_HOST_PLATFORM=$1 .venv/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist \
    --config-settings=build-dir="$PWD/build/zebra_attention" \
    --config-settings=cmake.define.ZEBRA_CUDA="${ZEBRA_CUDA:-AUTO}" python/zebra_attention
}

machine=$(uname -m)
wheel "linux_$machine"
# What it asks for is known once it is built. The second call only packs.
glibc=$(objdump -T build/zebra_attention/libzebra_attention_*.so | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1)
glibc=${glibc#GLIBC_}
wheel "manylinux_${glibc//./_}_$machine"
ls dist/zebra_attention-*.whl
