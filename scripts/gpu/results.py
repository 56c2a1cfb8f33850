#!/usr/bin/env python3
"""What the steps of run.sh left, as files for whoever was not there: results.json with every figure, summary.txt for a person,
attention.csv and steps.jsonl.

    results.py WORK OUTPUT

WORK holds steps.tsv (name, outcome, seconds, limit), tables *.csv of the attention bench and *.json of `zebra bench`, each named
like its step; OUTPUT already has hopper.txt and peers.jsonl. Called after every step, it makes its files anew each time: a run
that is cut short loses nothing.
"""

import csv
import json
import pathlib
import sys

FORMAT = "zebra-gpu-results"
FORMAT_VERSION = 1


def lines_of(path):
    return path.read_text(errors="replace").splitlines() if path.exists() else []


def json_lines(path):
    """A last line that a killed program left unfinished is left out."""
    rows = []
    for line in lines_of(path):
        try:
            rows.append(json.loads(line))
        except ValueError:
            pass
    return rows


def number(text):
    try:
        value = float(text)
    except ValueError:
        return text
    return int(value) if value.is_integer() and "e" not in text and "." not in text else value


def read_steps(work):
    fields = ("name", "outcome", "seconds", "limit_seconds")
    return [dict(zip(fields, map(number, line.split("\t")))) for line in lines_of(work / "steps.tsv")]


def read_attention(work):
    """Rows of the attention bench, each with its step. A row that was cut off is left out."""
    rows = []
    for path in sorted(work.glob("*.csv")):
        with path.open(newline="") as file:
            rows.extend({"step": path.stem, **{key: number(value) for key, value in row.items()}}
                        for row in csv.DictReader(file) if None not in row.values())
    return rows


def read_training(work):
    """What `zebra bench` measured, each with its step."""
    rows = []
    for path in sorted(work.glob("*.json")):
        try:
            rows.append({"step": path.stem, **json.loads(path.read_text())})
        except ValueError:  # the step was killed as it wrote
            pass
    return rows


def read_hopper(output):
    """Lines "right: WHAT", "wrong: WHAT" and "measured: WHAT: NUMBER UNIT"."""
    found = {"right": [], "wrong": [], "measured": {}}
    for line in lines_of(output / "hopper.txt"):
        kind, _, rest = line.partition(": ")
        if kind in ("right", "wrong"):
            found[kind].append(rest)
        elif kind == "measured":
            what, _, value = rest.rpartition(": ")
            amount, _, unit = value.partition(" ")
            found["measured"][what] = {"value": number(amount), "unit": unit}
    return found


def read_all(work, output):
    revision = lines_of(pathlib.Path(__file__).with_name("revision.txt"))
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "revision": revision[0] if revision else None,
        "card": next((row for row in json_lines(output / "peers.jsonl") if row["what"] == "card"), None),
        "steps": read_steps(work),
        "hopper": read_hopper(output),
        "attention": read_attention(work),
        "peers": [row for row in json_lines(output / "peers.jsonl") if row["what"] != "card"],
        "training": read_training(work),
    }


def table(rows):
    """Lines of columns, the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


def summary_of_steps(results):
    rows = [("step", "seconds", "of", "outcome")]
    rows += [(step["name"], f"{step['seconds']:.1f}", str(step["limit_seconds"]), step["outcome"]) for step in results["steps"]]
    passed = sum(step["outcome"] == "passed" for step in results["steps"])
    return [f"{passed} of {len(rows) - 1} steps passed", "", *table(rows)]


def summary_of_card(results):
    card = results["card"]
    return [", ".join(f"{key} {value}" for key, value in card.items() if key != "what")] if card else ["no card was seen"]


def summary_of_hopper(results):
    hopper = results["hopper"]
    if not hopper["right"] + hopper["wrong"]:
        return []
    lines = [f"Hopper's primitives: {len(hopper['right'])} as the manual says, {len(hopper['wrong'])} not"]
    lines += [f"  wrong: {what}" for what in hopper["wrong"]]
    return lines + [f"  {what}: {found['value']} {found['unit']}" for what, found in hopper["measured"].items()]


def summary_of_attention(results):
    if not results["attention"]:
        return []
    rows = [("attention", "Hq/Hkv", "D", "T", "W", "forward ms", "backward ms", "TFLOP/s", "x zebra")]
    for row in results["attention"]:
        rows.append((f"{row['step']}: {row['name']}", f"{row['H']}/{row['Hkv']}", str(row["D"]), str(row["T"]), str(row["W"]),
                     f"{row['forward_ms']:.3f}", f"{row['backward_ms']:.3f}", f"{row['both_gflops'] / 1e3:.0f}",
                     f"{row['both_ratio']:.2f}"))
    return table(rows)


def summary_of_peers(results):
    if not results["peers"]:
        return []
    return table([("peer", "case", "result")] + [
        (row["what"], " ".join(f"{key} {value}" for key, value in row.get("case", {}).items()),
         " ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
                  if key not in ("what", "case"))) for row in results["peers"]])


def summary_of_training(results):
    lines = []
    for row in results["training"]:
        seconds = sum(row["part_seconds"].values())
        lines.append(f"{row['step']}: {row['tokens_per_second']:.0f} tokens/s, {100 * row['mfu']:.1f} % of "
                     f"{row['product_ceiling'] / 1e12:.0f} TFLOP/s, a checkpoint {row['checkpoint_seconds']:.1f} s")
        parts = sorted(row["part_seconds"].items(), key=lambda part: -part[1])
        lines += [f"  {1e3 * value:8.2f} ms  {100 * value / seconds:5.1f} %  {part}" for part, value in parts]
    return lines


def summary(results):
    parts = [summary_of_card(results), summary_of_steps(results), summary_of_hopper(results), summary_of_attention(results),
             summary_of_peers(results), summary_of_training(results)]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def write(path, text):
    """Beside its place, then renamed: never half a file."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.rename(path)


def write_attention(path, rows):
    fields = list(dict.fromkeys(key for row in rows for key in row))
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        writer.writerows(rows)
    partial.rename(path)


def main():
    work, output = map(pathlib.Path, sys.argv[1:])
    results = read_all(work, output)
    write(output / "results.json", json.dumps(results, indent=1) + "\n")
    write(output / "summary.txt", summary(results))
    if results["attention"]:
        write_attention(output / "attention.csv", results["attention"])
    if results["training"]:
        write(output / "steps.jsonl", "".join(json.dumps(row) + "\n" for row in results["training"]))


if __name__ == "__main__":
    main()
