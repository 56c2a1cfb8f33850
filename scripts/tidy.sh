#!/usr/bin/env bash
# clang-tidy, with the checks of .clang-tidy, on C++ sources: prints what it finds; what does not compile is an error.
#
#   bash scripts/tidy.sh [--seconds N] FILE…      those files
#   bash scripts/tidy.sh [--seconds N] [RANGE]    the files that a range of commits changed, such as main..; HEAD^ by default:
#                                                 what changed since the parent commit, also what is not committed
#
# Headers are checked with the sources that include them. Needs a configured build folder (build, or what ZEBRA_BUILD names).
# A file that includes LibTorch takes half a minute, so that N bounds it all: files for which no time is left are named.
# Ends with 0, or 1 after an error, or 2 when it cannot begin.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n 's/^#   bash/usage: bash/p' "$0" >&2; exit 2; }
seconds=3600
if [ "${1:-}" = --seconds ]; then
  [[ "${2:-}" =~ ^[0-9]+$ ]] || usage
  seconds=$2
  shift 2
fi
case "${1:-}" in -*) usage ;; esac
command -v clang-tidy >/dev/null || { echo "clang-tidy is not there: bash scripts/setup.sh --tests installs it." >&2; exit 2; }
build=${ZEBRA_BUILD:-build}
[ -f "$build/compile_commands.json" ] || { echo "$build is not configured: cmake --preset release" >&2; exit 2; }

files=()
if [ $# -gt 0 ] && [ -e "$1" ]; then
  files=("$@")
elif [ $# -le 1 ]; then
  range=${1:-HEAD^}
  git rev-parse --quiet --verify "${range%%..*}" >/dev/null || { echo "There is no commit ${range%%..*}: nothing to check."; exit 0; }
  mapfile -t files < <(git diff --name-only --diff-filter=d "$range" -- src csrc_kernels tests)
else
  usage
fi

# GCC's precompiled headers are none of clang's: the commands are taken over without them. Files without LibTorch first.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 - "$build" "$work" "${files[@]}" <<'END' >"$work/files"
import json, pathlib, re, shlex, sys

build, work, *files = sys.argv[1:]
wanted = {str(pathlib.Path(file).resolve()) for file in files if file.endswith(".cpp")}
seen = {}
for entry in json.loads((pathlib.Path(build) / "compile_commands.json").read_text()):
    words = shlex.split(entry["command"])
    source = str((pathlib.Path(entry["directory"]) / entry["file"]).resolve())
    if source not in wanted or source in seen:
        continue
    words = words[next(i for i, word in enumerate(words) if re.search(r"(\+\+|cc)[-\d.]*$", word)):]
    kept = []
    for word in words:
        if word.endswith("cmake_pch.hxx"):
            kept.pop()  # its -include
        elif word not in ("-fpch-preprocess", "-Winvalid-pch", "-Wno-restrict", "-Wno-stringop-overflow",
                          "-Wno-maybe-uninitialized"):
            kept.append(word)
    seen[source] = {"directory": entry["directory"], "file": source, "arguments": kept}
(pathlib.Path(work) / "compile_commands.json").write_text(json.dumps(list(seen.values())))
includes_torch = lambda source: any("torch/" in word for word in seen[source]["arguments"])
print("\n".join(sorted(seen, key=lambda source: (includes_torch(source), source))))
END
mapfile -t sources < <(grep . "$work/files" || true)
if ((${#sources[@]} == 0)); then echo "No source to check."; exit 0; fi

check() {  # check FILE: its findings
  local left=$((deadline - $(date +%s))) status=0 output=$work/output.$BASHPID
  if ((left <= 0)); then echo "$1" >>"$work/left"; return 0; fi
  timeout "$left" clang-tidy --quiet -p "$work" "$1" >"$output" 2>&1 || status=$?
  if ((status == 124)); then echo "$1" >>"$work/left"; return 0; fi
  grep -v "warnings generated\.$" "$output" || true
  return $((status != 0))
}
export -f check
export work deadline=$(($(date +%s) + seconds))
status=0
printf '%s\0' "${sources[@]}" | xargs -0 -P "$(nproc)" -I FILE bash -c 'check "$1"' _ FILE || status=1
if [ -f "$work/left" ]; then
  echo "No time was left for $(wc -l <"$work/left") of ${#sources[@]} files: bash scripts/tidy.sh FILE… checks them:"
  sed "s|^$PWD/|  |" "$work/left"
fi
((status == 0)) && echo "clang-tidy found no error."
exit $status
