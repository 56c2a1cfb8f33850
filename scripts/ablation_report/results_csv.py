"""Every measurement of a study as a row of one tidy table, for other programs.

A row has one value, and columns that say what it is of; a column that does not apply is empty. Each
setting that the study varies has a column of its own. What only the clock of a shared machine says
(seconds and tokens per second of training) is not among them; what `zebra bench` measured alone is,
in rows without an arm.
"""

import csv
import io
import math

import numpy as np

from . import measures, recall, study

_SEED = "run.seed"
_LEAD = ("arm", "group", "seed", "state", "layout", "window")
_PLACE = ("step", "tokens", "quantity", "source", "task", "pairs", "hops", "length", "band",
          "first_position", "last_position")
_OF_ARM = (("steps", "count"), ("parameters", "count"), ("training_flops", "FLOP"),
           ("training_flops_per_token", "FLOP"), ("peak_memory_gib", "GiB"))
_NATS = "nats per token"


def _row(quantity, value, unit, **place):
    return {"quantity": quantity, "value": value, "unit": unit, **place}


def _mean(total, count):
    return total / count if count else None


def _of_arm(arm):
    """What there is one of. `steps` are the planned ones."""
    for field, unit in _OF_ARM:
        yield _row(field.removesuffix("_gib"), getattr(arm, field), unit)
    if arm.step is not None:
        yield _row("training_tokens", arm.tokens_at(arm.step), "count", step=arm.step)
    for length in sorted(arm.key_value_cache_bytes, key=int):
        yield _row("key_value_cache", arm.key_value_cache_bytes[length], "byte", length=length)
    for source in arm.sources:
        for of in ("samples", "targets", "loss"):
            yield _row(f"share_of_{of}", getattr(source, f"{of}_share"), "share", source=source.name)


def _losses(arm):
    for quantity, curve in (("training_loss", arm.curve), ("validation_loss", arm.validation_curve)):
        for point in curve:
            yield _row(quantity, point.loss, _NATS, step=point.step, tokens=point.tokens)
    yield _row("final_validation_loss", measures.validation_loss(arm), _NATS, step=arm.step)


def _text(arm, sequence_length):
    text, place = arm.text, {"step": arm.step}
    yield _row("text_loss", text.loss, _NATS, length=sequence_length, **place)
    for point in text.by_length:
        yield _row("text_loss_by_length", point.loss, _NATS, length=point.length, **place)
    for field in ("by_position", "by_visible"):
        for point in getattr(text, field):
            yield _row(f"text_loss_{field}", point.loss, _NATS, length=sequence_length,
                       first_position=point.begin, last_position=point.end - 1, **place)
    for loss in text.bigrams:
        finite = np.isfinite(loss.nats)
        yield _row("bigram_loss", _mean(loss.nats[finite].sum(), loss.tokens[finite].sum()), _NATS,
                   band=loss.kind, **place)
        yield _row("bigram_tokens", int(loss.tokens.sum()), "count", band=loss.kind, **place)
    if text.context:
        finite = np.isfinite(text.context.full) & np.isfinite(text.context.cut)
        for name in ("full", "cut"):
            yield _row(f"{name}_context_loss", _mean(getattr(text.context, name)[finite].sum(),
                                                     int(finite.sum())), _NATS, **place)
        yield _row("context_targets", int(finite.sum()), "count", **place)


def _probe(arm, probe, bands):
    asked = {"task": probe.task, "length": probe.length, "pairs": probe.pairs, "hops": probe.hops}
    yield _row("chance", probe.chance, "share", **asked)
    for band, limits in recall.limits(bands).items():
        place = {**asked, "band": band}
        units, of_steps = recall.hits_by_step(probe, arm.step, *limits)
        for step, hits in of_steps:
            yield _row("exact_match", _mean(hits, units), "share", step=step, **place)
        yield _row("asked", units, "count", **place)
        if floor := recall.floor(probe, *limits):
            yield _row("floor", floor.share if floor.known else None, "share", **place)
        yield _row("log_likelihood", _mean(*recall.log_likelihood(probe, *limits)), _NATS,
                   step=arm.step, **place)


def _measured(arm, a_study):
    yield from _of_arm(arm)
    yield from _losses(arm)
    if arm.text:
        yield from _text(arm, a_study.sequence_length)
    for probe in arm.probes:
        yield from _probe(arm, probe, a_study.bands_of(arm.layout, arm.window_size))


def _rows(a_study):
    for arm in a_study.arms:
        lead = {"arm": arm.name, "group": arm.group, "seed": arm.seed, "state": arm.state,
                "layout": arm.layout, "window": arm.window_size, **arm.settings}
        for row in _measured(arm, a_study):
            if row.get("step") is not None and "tokens" not in row:
                row["tokens"] = arm.tokens_at(row["step"])
            yield {**lead, **row}
    for cell in a_study.cost.rows if a_study.cost else ():
        lead = {"layout": cell.pattern, "length": cell.length}
        for phase, seconds in cell.seconds.items():
            yield {**lead, **_row(f"bench_{phase}", seconds, "s")}
        yield {**lead, **_row("bench_tokens_per_second", cell.tokens_per_second, "1/s")}
        yield {**lead, **_row("bench_peak_memory", cell.peak_memory_gib, "GiB")}


def _written(value):
    if value is None or isinstance(value, float) and not math.isfinite(value):
        return ""
    return repr(float(value)) if isinstance(value, float) else value


def text(a_study: study.Study):
    """CSV. A quantity that was not measured, or is not finite, has no row."""
    axes = dict.fromkeys(key for arm in a_study.arms for key in arm.settings if key != _SEED)
    columns = (*_LEAD, *axes, *_PLACE, "value", "unit")
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_written(row.get(name)) for name in columns] for row in _rows(a_study)
                     if _written(row["value"]) != "")
    return output.getvalue()
