#!/usr/bin/env bash
# Makes the wheels in dist/. Needs what scripts/setup.sh installs.
#
#   bash scripts/wheels.sh [attention | lm]     one of them; both without a word
#
#   attention  zebra_attention-VERSION-py3-none-….whl: csrc_kernels for every PyTorch since 2.10
#   lm         zebra_lm-VERSION+torchX.Y-py3-none-….whl: the command `zebra`, for torch X.Y, that of .venv (or in the folder
#              TORCH_ROOT)
#
# Both are for every Python since 3.10. With nvcc in reach the CUDA kernels are in them too (ZEBRA_CUDA=OFF: never). The tag
# names the oldest glibc that they run on.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n 's/^#   bash/usage: bash/p' "$0" >&2; exit 2; }
(($# <= 1)) || usage
case ${1:-} in
  "") wheels=(attention lm) ;;
  attention | lm) wheels=("$1") ;;
  *) usage ;;
esac

if ! .venv/bin/python -c 'import scikit_build_core, torch' 2>/dev/null; then
  echo "No .venv with torch and scikit-build-core: run scripts/setup.sh." >&2
  exit 2
fi
export TORCH_ROOT=${TORCH_ROOT:-$(echo "$PWD"/.venv/lib/python3*/site-packages/torch)}

# pack NAME PLATFORM: a build in build/NAME and a wheel of it. Not isolated: torch is the one in TORCH_ROOT.
pack() {
  _PYTHON_HOST_PLATFORM=$2 .venv/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$made" \
    --config-settings=build-dir="$PWD/build/$1" \
    --config-settings=cmake.define.TORCH_ROOT="$TORCH_ROOT" \
    --config-settings=cmake.define.ZEBRA_CUDA="${ZEBRA_CUDA:-AUTO}" "python/$1"
}

# oldest_glibc WHEEL: of all that is compiled in it, "2_34". GCC 12's libstdc++ came with the distributions of glibc 2.35.
oldest_glibc() {
  .venv/bin/python - "$1" <<'END'
import re, subprocess, sys, tempfile, zipfile

minors = set()
with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(sys.argv[1]) as archive:
    archive.extractall(folder)
    for name in archive.namelist():
        with open(f"{folder}/{name}", "rb") as file:
            if file.read(4) != b"\x7fELF":
                continue
        needs = subprocess.run(["readelf", "--wide", "--version-info", f"{folder}/{name}"], check=True, capture_output=True,
                               text=True).stdout
        minors |= {int(minor) for minor in re.findall(r"GLIBC_2\.(\d+)", needs)}
        minors |= {35 for minor in re.findall(r"GLIBCXX_3\.4\.(\d+)", needs) if int(minor) >= 30}
print(f"2_{max(minors)}")
END
}

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
machine=$(uname -m)
mkdir -p dist
for wheel in "${wheels[@]}"; do
  name=zebra_$wheel
  pack "$name" "linux_$machine"
  # What it asks for is known once it is built. The second call only packs.
  glibc=$(oldest_glibc "$made/$name"-*.whl)
  rm "$made/$name"-*.whl
  pack "$name" "manylinux_${glibc}_$machine"
  packed=$(basename "$made/$name"-*.whl)
  rm -f "dist/${packed%%-py3-*}"-*.whl
  mv "$made/$packed" dist/
  ls "dist/$packed"
done
