"""What a card measured (results.json of scripts/gpu/run.sh), beside the model, as Markdown."""

import json

from . import gpus
from .tables import table

_FORMAT = ("zebra-gpu-results", 1)


class UnknownResults(RuntimeError):
    """A file that is none of ours."""


def read(path):
    """The results of a card. UnknownResults where the file holds no such thing."""
    try:
        results = json.loads(path.read_text())
        found = (results["format"], results["format_version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnknownResults(f"{path} holds no results of scripts/gpu/run.sh: {error}") from None
    if found != _FORMAT:
        raise UnknownResults(f"{path} is of format {found}, not {_FORMAT}")
    return results


def _modelled(results, model_rows):
    """{(D, W, T, query heads, key heads): row of the model} for a GPU of the card's architecture."""
    architecture = "sm_" + (results["card"] or {}).get("compute_capability", "").replace(".", "")
    names = [gpu.name for gpu in gpus.ALL if gpu.multiprocessor.architecture == architecture]
    return {(row["head_size"], row["window"], row["length"], row["query_heads"], row["key_heads"]): row
            for row in model_rows if row["gpu"] in names}


def _against_model(row, modelled):
    """The model's GPU, its milliseconds, and how much longer it took."""
    key = (row["D"], row["W"], row["T"], row["H"], row["Hkv"])
    if row["name"] != "zebra" or row.get("documents") or key not in modelled:
        return "", "", ""
    model = modelled[key]
    return (model["gpu"], f"{model['both']['ms']:.3f}", f"{row['both_ms'] / model['both']['ms']:.2f}")


def _attention(results, model_rows):
    modelled = _modelled(results, model_rows)
    return table(
        ["D", "W", "T", "heads", "documents of", "kernel", "forward ms", "TFLOP/s", "backward ms", "TFLOP/s", "both ms",
         "time over ours", "the model for", "both ms", "measured over model"],
        [[row["D"], row["W"], row["T"], f"{row['H']} / {row['Hkv']}", row.get("documents") or "", row["name"],
          f"{row['forward_ms']:.3f}", f"{row['forward_gflops'] / 1e3:.0f}", f"{row['backward_ms']:.3f}",
          f"{row['backward_gflops'] / 1e3:.0f}", f"{row['both_ms']:.3f}", f"{row['both_ratio']:.2f}",
          *_against_model(row, modelled)] for row in results["attention"]])


def _cell(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _peers(results):
    return table(["PyTorch", "case", "result"], [
        [row["what"], ", ".join(f"{key} {value}" for key, value in row.get("case", {}).items()),
         ", ".join(f"{key} {_cell(value)}" for key, value in row.items() if key not in ("what", "case"))]
        for row in results["peers"]])


def _training(results):
    rows = results["training"]
    parts = list(dict.fromkeys(part for row in rows for part in row["part_seconds"]))

    def share(row, part):
        seconds = row["part_seconds"].get(part)
        return "" if seconds is None else f"{1e3 * seconds:.2f} ms ({seconds / sum(row['part_seconds'].values()):.0%})"

    return table(["", *(row["step"] for row in rows)], [
        ["tokens per second", *(f"{row['tokens_per_second']:,.0f}" for row in rows)],
        ["products' ceiling, TFLOP/s", *(f"{row['product_ceiling'] / 1e12:.0f}" for row in rows)],
        ["MFU", *(f"{row['mfu']:.1%}" for row in rows)],
        ["memory, GiB", *(f"{row['peak_bytes'] / 2**30:.1f}" if "peak_bytes" in row else "" for row in rows)],
        *([part, *(share(row, part) for row in rows)] for part in parts),
        ["a whole checkpoint, s", *(f"{row['checkpoint_seconds']:.1f}" for row in rows)]])


def _hopper(results):
    hopper = results["hopper"]
    return table(["Hopper's primitives", ""], [
        *([what, kind] for kind in ("wrong", "right") for what in hopper[kind]),
        *([what, f"{found['value']} {found['unit']}".strip()] for what, found in hopper["measured"].items())])


def report(results, model_rows):
    card = results["card"] or {"name": "no card"}
    failed = [f"{step['name']}: {step['outcome']}" for step in results["steps"] if step["outcome"] != "passed"]
    parts = [f"### Measured on {card['name']}",
             ", ".join(f"{key} {value}" for key, value in card.items() if key not in ("what", "name")) +
             f"; commit {results['revision']}. " + ("Not passed: " + "; ".join(failed) + "." if failed else "All steps passed.")]
    if results["attention"]:
        parts.append(_attention(results, model_rows).rstrip())
    if results["peers"]:
        parts.append(_peers(results).rstrip())
    if results["training"]:
        parts.append(_training(results).rstrip())
    if any(results["hopper"].values()):
        parts.append(_hopper(results).rstrip())
    return "\n\n".join(parts) + "\n"
