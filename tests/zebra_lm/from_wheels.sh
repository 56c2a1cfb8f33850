#!/usr/bin/env bash
# From the two wheel files in dist/ to a trained first model, as an ordinary user with an empty home, no packages of the
# distribution beyond Python and no sudo. Says which commands that took, and how many minutes. Root becomes `nobody` for it.
#
#   bash tests/zebra_lm/from_wheels.sh [--torch-from VENV]
#
#   --torch-from  torch and what else the wheels need are hard links to what this environment has, and not downloaded by pip
set -euo pipefail
if (($# != 0)) && { (($# != 2)) || [ "$1" != --torch-from ]; }; then sed -n 's/^#   bash/usage: bash/p' "$0" >&2; exit 2; fi
cd "$(dirname "$0")/../.."
from=${2:-}

wheels=()
for name in zebra_attention zebra_lm; do
  wheel=$(ls -t dist/"$name"-*.whl 2>/dev/null | head -n 1)
  [ -n "$wheel" ] || { echo "dist/ has no wheel of $name: run scripts/wheels.sh" >&2; exit 2; }
  wheels+=("$wheel")
done

home=$(mktemp -d /tmp/zebra-home-XXXXXX)
trap 'rm -rf "$home"' EXIT
cp "${wheels[@]}" "$home"
as_user=(env --chdir="$home" --ignore-environment HOME="$home" PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8)
if ((EUID == 0)); then
  nobody=$(id -u nobody) group=$(id -g nobody)
  chown -R "$nobody:$group" "$home"
  as_user=(setpriv --reuid "$nobody" --regid "$group" --clear-groups --no-new-privs "${as_user[@]}")
fi

# command LINE: the user types it.
commands=0
command() {
  printf '\n$ %s\n' "$1"
  commands=$((commands + 1))
  "${as_user[@]}" bash -c "$1"
}

downloads="with all downloads"
[ -z "$from" ] || downloads="without the download of torch"
begun=$SECONDS
command "python3 -m venv zebra"
if [ -n "$from" ]; then
  "$from/bin/python" tests/zebra_lm/link_requirements.py "$home"/zebra_*.whl "$home"/zebra/lib/python3*/site-packages
fi
command "zebra/bin/pip install --quiet --disable-pip-version-check $(basename "${wheels[0]}") $(basename "${wheels[1]}")"
installed=$SECONDS
command "zebra/bin/zebra-quickstart"
printf '\nFrom two wheel files to a trained model: %d commands, %d s to install (%s), %d s for data, training and evaluation\n' \
  "$commands" $((installed - begun)) "$downloads" $((SECONDS - installed))

# It is what it says.
grep -q '"finished"' "$home/quickstart/run/status.json"
[ -s "$home/quickstart/run/plots/loss.png" ]
foreign=$("${as_user[@]}" bash -c "ldd zebra/lib/python3*/site-packages/zebra_lm/bin/zebra" |
  sed -n 's/^\t\(\S*\) => \(.*\) (.*/\1 \2/p; s/^\t.*not found.*/&/p' |
  grep -vE "^(lib(stdc\+\+|m|gcc_s|c|rt|dl|pthread|util)\.so|ld-linux)|$home/zebra/" || true)
[ -z "$foreign" ] || { echo "The command needs more than its environment has: $foreign" >&2; exit 1; }
"${as_user[@]}" zebra/bin/python -c "
import torch, zebra_attention
q = torch.randn(1, 40, 2, 16, requires_grad=True)
zebra_attention.local_attention(q, q, q, window=8).sum().backward()
assert torch.isfinite(q.grad).all()"
