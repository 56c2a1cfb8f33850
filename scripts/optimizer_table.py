#!/usr/bin/env python3
"""Prints what configs/ablations/optimizer.yaml gave, as Markdown: the validation loss of each optimizer by learning rate, with
the interval over seeds, and both at their best learning rate. usage: optimizer_table.py FOLDER (of runs, at any depth)"""

import argparse
import collections
import json
import math
import pathlib
import re
import sys

import numpy as np
from scipy import stats

LEVEL = 0.95


def setting(config, section, key):
    found = re.search(rf"^{section}:\n(?:  .*\n)*?  {key}: (\S+)$", config, re.MULTILINE)
    return found.group(1) if found else None


def curve_of(run):
    """[(tokens, validation loss)] of a run; a row of a validation follows that of its step."""
    tokens, curve = 0, []
    for line in (run / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        tokens = row.get("tokens", tokens)
        if row.get("validation_loss") is not None:
            curve.append((tokens, row["validation_loss"]))
    return curve


def interval(values):
    """Mean and half the width of the t interval over seeds (none of fewer than two)."""
    values = np.array(values, float)
    if len(values) < 2:
        return values.mean(), math.nan
    return values.mean(), stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))


def shown(mean, half):
    return f"{mean:.4f}" + ("" if math.isnan(half) else f" ± {half:.4f}")


def tokens_to(curve, loss):
    """Tokens at which a mean curve comes to `loss`, on the line between two validations; None where it does not."""
    for (before, high), (after, low) in zip(curve, curve[1:]):
        if high >= loss >= low and high > low:
            return before + (after - before) * (high - loss) / (high - low)
    return None


def read(folder):
    """{(optimizer, learning rate): {seed: curve}} of the finished runs in a folder."""
    runs = collections.defaultdict(dict)
    for path in sorted(folder.rglob("metrics.jsonl")):
        status = path.parent / "status.json"
        if not status.exists() or json.loads(status.read_text()).get("state") != "finished":
            continue
        config = (path.parent / "config.yaml").read_text()
        key = setting(config, "optimizer", "type"), float(setting(config, "optimizer", "lr"))
        runs[key][int(setting(config, "run", "seed"))] = curve_of(path.parent)
    return runs


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    runs = read(parser.parse_args().folder)
    if not runs:
        sys.exit("no finished runs there")
    print("| optimizer | `lr` | seeds | validation loss |\n|---|---|---|---|")
    best = {}
    for (optimizer, rate), seeds in sorted(runs.items()):
        last = {seed: curve[-1][1] for seed, curve in seeds.items() if curve}
        mean, half = interval(list(last.values()))
        print(f"| {optimizer} | {rate:g} | {len(last)} | {shown(mean, half)} |")
        if optimizer not in best or mean < best[optimizer][0]:
            best[optimizer] = mean, rate, last
    if set(best) != {"adamw", "muon"}:
        return
    (adamw, adamw_rate, adamw_last), (muon, muon_rate, muon_last) = best["adamw"], best["muon"]
    both = sorted(adamw_last.keys() & muon_last.keys())
    mean, half = interval([muon_last[seed] - adamw_last[seed] for seed in both])
    print(f"\nAt the best rate of each, muon ({muon_rate:g}) less adamw ({adamw_rate:g}), paired over {len(both)} seeds: "
          f"{shown(mean, half)}.")
    curves = np.mean([[loss for _, loss in runs["muon", muon_rate][seed]] for seed in both], axis=0)
    tokens = [at for at, _ in runs["muon", muon_rate][both[0]]]
    reached = tokens_to(list(zip(tokens, curves)), adamw)
    if reached:
        print(f"Muon comes to AdamW's last loss at {reached / tokens[-1]:.0%} of the tokens (its schedule is made for all of them).")


if __name__ == "__main__":
    main()
