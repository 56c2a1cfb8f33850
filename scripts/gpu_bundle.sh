#!/usr/bin/env bash
# Packs everything that needs a GPU into one archive, .gpu/bundle.tar.xz, on a machine that needs none: a CUDA toolkit is
# enough. On the other side:
#
#   mkdir bundle && tar -xf bundle.tar.xz -C bundle && bash bundle/run.sh RESULTS
#
# asks for a driver and python3 with torch 2.11, nothing else: programs for compute capability 8.0 and 9.0, found libraries
# beside them, LibTorch from python3's torch, and nothing is fetched. docs/gpu.md says what is measured.
#
#   bash scripts/gpu_bundle.sh [BUILD_FOLDER]                     (default build-portable, which it configures and builds)
set -euo pipefail
if (($# > 1)) || [[ ${1:-} == -* ]]; then sed -n 's/^#   bash/usage: bash/p' "$0" >&2; exit 2; fi
cd "$(dirname "$0")/.."
build=${1:-build-portable}
most_bytes=60000000

[ -f "$build/CMakeCache.txt" ] || cmake --preset portable -B "$build"
grep -q '^ZEBRA_PORTABLE:BOOL=ON' "$build/CMakeCache.txt" ||
  { echo "$build is no portable build: cmake --preset portable -B $build" >&2; exit 2; }
cmake --build "$build" --target zebra_gpu_programs
grep -q 'kTorchVersion = "2\.11\.' "$build/generated/base/build_info.h" ||
  { echo "$build has not been built with torch 2.11, which the other machine has: bash scripts/setup.sh --torch 2.11.0" >&2; exit 2; }

tree=.gpu/bundle
bash scripts/gpu_tree.sh "$build" "$tree"

# What every machine with a driver and torch has, and what is carried.
allowed='lib(torch|torch_cpu|torch_cuda|c10|c10_cuda).so|libgomp.so.1|lib(stdc\+\+|m|gcc_s|c|dl|rt|pthread).so.[0-9]*|ld-linux.*'
faults=0
for program in "$tree"/bin/* "$tree"/lib/libzebra_cuda.so; do
  dynamic=$(readelf -d "$program" 2>/dev/null) || continue  # a script
  for library in $(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$dynamic"); do
    [[ $library =~ ^($allowed)$ ]] || [ -e "$tree/lib/$library" ] ||
      { echo "$program needs $library, which the other machine may not have" >&2; faults=1; }
  done
  for folder in $(sed -n 's/.*(R[UN]*PATH).*\[\(.*\)\]/\1/p' <<<"$dynamic" | tr : ' '); do
    [[ $folder == \$ORIGIN/* ]] || { echo "$program looks for libraries in $folder of this machine" >&2; faults=1; }
  done
done
((faults == 0)) || exit 1

# Many programs hold the same kernels: a dictionary as large as all of them finds that.
archive=.gpu/bundle.tar.xz
tar --sort=name --owner=0 --group=0 --numeric-owner -C "$tree" -cf - . | xz -T1 --lzma2=preset=6e,dict=128MiB >"$archive.partial"
bytes=$(stat -c %s "$archive.partial")
if ((bytes > most_bytes)); then
  echo "the archive has $bytes bytes, more than $most_bytes: $archive.partial" >&2
  exit 1
fi
mv "$archive.partial" "$archive"
du -ah --apparent-size "$tree" | sort -k2
echo "$archive: $bytes bytes"
