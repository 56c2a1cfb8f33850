"""One row of numbers per arm, for other programs."""

import csv
import io
import json
import math

import numpy as np

from . import measures, recall, study

_FIELDS = ("name", "group", "seed", "state", "reason", "step", "steps", "layout", "window_size",
           "parameters", "tokens", "training_flops", "training_flops_per_token",
           "tokens_per_second", "peak_memory_gib", "seconds")


def _ratio(total, count):
    return total / count if count else None


def _text(text, row):
    row["text_loss"] = text.loss
    for point in text.by_length:
        row[f"text_loss_at_length_{point.length}"] = point.loss
    for loss in text.bigrams:
        finite = np.isfinite(loss.nats)
        row[f"bigram_loss_{loss.kind}"] = _ratio(loss.nats[finite].sum(),
                                                 loss.tokens[finite].sum())
        row[f"bigram_tokens_{loss.kind}"] = int(loss.tokens.sum())
    if text.context:
        finite = np.isfinite(text.context.full) & np.isfinite(text.context.cut)
        for name in ("full", "cut"):
            row[f"context_{name}_loss"] = _ratio(getattr(text.context, name)[finite].sum(),
                                                 int(finite.sum()))
        row["context_targets"] = int(finite.sum())


def _probe(key, probe, bands, row):
    start = key.file
    row[f"{start}_chance"] = probe.chance
    for band, (first, last) in recall.limits(bands).items():
        hits, units, likelihood, finite = recall.totals(probe, first, last)
        row[f"{start}_{band}_exact_match"] = _ratio(hits, units)
        row[f"{start}_{band}_units"] = int(units)
        if floor := recall.floor(probe, first, last):
            row[f"{start}_{band}_floor"] = floor.share if floor.known else None
        row[f"{start}_{band}_log_likelihood"] = _ratio(likelihood, finite)


def _row(a_study, arm):
    row = {name: getattr(arm, name) for name in _FIELDS}
    row["settings"] = json.dumps(arm.settings)
    for key in sorted(arm.key_value_cache_bytes, key=int):
        row[f"key_value_cache_bytes_{key}"] = arm.key_value_cache_bytes[key]
    row["validation_loss"] = measures.validation_loss(arm)
    if arm.text:
        _text(arm.text, row)
    for probe in arm.probes:
        _probe(a_study.key(probe), probe, a_study.bands_of(arm.layout, arm.window_size), row)
    return row


def _written(value):
    if value is None or isinstance(value, float) and not math.isfinite(value):
        return ""
    return repr(float(value)) if isinstance(value, float) else value


def text(a_study: study.Study):
    """CSV; empty where a value is missing or not finite."""
    rows = [_row(a_study, arm) for arm in a_study.arms]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_written(row.get(name)) for name in columns] for row in rows)
    return output.getvalue()
