"""Reads results.json, as `zebra ablate` has written it, and says what contradicts itself in it."""

import collections
import itertools
import re

from . import shapes, study

_LAYER_KINDS = {"G", "L"}
_TASK = re.compile(r"[A-Za-z0-9_-]+")
_WHOLE, _POSITIVE = shapes.whole(0), shapes.whole(1)
_NUMBERS = shapes.mapping(shapes.number)
_CURVE = shapes.sequence(shapes.record(
    study.CurvePoint, step=_WHOLE, tokens=shapes.number, training_flops=shapes.number,
    loss=shapes.number))
_PROBE = shapes.record(
    study.Probe, task=shapes.text, length=_POSITIVE, chance=shapes.number, item=shapes.whole_numbers(0),
    distance=shapes.whole_numbers(0), log_likelihood=shapes.numbers,
    exact=shapes.whole_numbers(0, 1), strategies=shapes.sequence(shapes.text),
    blind=shapes.whole_numbers(0), pairs=_WHOLE, hops=_WHOLE,
    earlier=shapes.sequence(shapes.record(study.EarlierAnswers, step=_POSITIVE,
                                          exact=shapes.whole_numbers(0, 1))))
_TEXT = shapes.record(
    study.TextRecall, loss=shapes.number, tokens=_WHOLE,
    by_position=shapes.sequence(shapes.record(study.PositionLoss, begin=_WHOLE, end=_POSITIVE,
                                              loss=shapes.number)),
    by_visible=shapes.sequence(shapes.record(study.PositionLoss, begin=_WHOLE, end=_POSITIVE,
                                             loss=shapes.number)),
    by_length=shapes.sequence(shapes.record(study.LengthLoss, length=_POSITIVE, loss=shapes.number)),
    bigrams=shapes.sequence(shapes.record(
        study.ClassLoss, kind=shapes.choice(*study.CLASSES), nats=shapes.numbers,
        tokens=shapes.whole_numbers(0))),
    context=shapes.record(study.ContextLoss, full=shapes.numbers, cut=shapes.numbers),
    long_context=shapes.record(study.ContextLoss, full=shapes.numbers, cut=shapes.numbers,
                               kept=_POSITIVE))
_ARM = shapes.record(
    study.Arm, name=shapes.text, group=shapes.text, seed=_WHOLE, state=shapes.choice(*study.STATES),
    reason=shapes.text, settings=shapes.mapping(shapes.anything), step=_WHOLE, steps=_WHOLE,
    layout=shapes.text, window_size=_WHOLE, parameters=_WHOLE, training_flops=shapes.number,
    training_flops_per_token=shapes.number, tokens=_WHOLE, key_value_cache_bytes=_NUMBERS,
    tokens_per_second=shapes.number, peak_memory_gib=shapes.number, seconds=shapes.number,
    curve=_CURVE, validation_curve=_CURVE,
    sources=shapes.sequence(shapes.record(
        study.Source, name=shapes.text, samples_share=shapes.number, targets_share=shapes.number,
        loss_share=shapes.number)),
    ladder=shapes.record(
        study.LadderPoint, layout=shapes.text, size=shapes.text, tokens_per_parameter=shapes.number,
        learning_rate=shapes.number, parameters=_POSITIVE, key_value_cache_bytes=_WHOLE),
    recall=shapes.record(study.Recall, text=_TEXT, probes=shapes.sequence(_PROBE)))
_COST = shapes.record(
    study.Cost, device=shapes.text, machine=shapes.text, threads=_WHOLE, precision=shapes.text,
    rows=shapes.sequence(shapes.record(
        study.CostRow, layout=shapes.text, pattern=shapes.text, length=_POSITIVE, seconds=_NUMBERS,
        predicted_seconds=_NUMBERS, tokens_per_second=shapes.number,
        peak_memory_gib=shapes.number)))
_LADDER = shapes.record(
    study.Ladder, longest_length=_POSITIVE, cost=shapes.mapping(
        lambda value, *others: None if value is None else _COST(value, *others)))
_STUDY = shapes.record(
    study.Study, name=shapes.text, zebra=shapes.text, machine=shapes.text, sequence_length=_POSITIVE,
    budget=shapes.text, contrast=shapes.text, bands=shapes.record(
        study.Bands, window=_POSITIVE, layers=_POSITIVE, of=shapes.choice("common", "own")),
    arms=shapes.sequence(_ARM), cost=_COST, ladder=_LADDER)


def _identity(probe):
    return probe.task, probe.length, probe.pairs, probe.hops


def _problems_of_blind(probe, place):
    if (probe.blind is None) != (not probe.strategies):
        yield f"{place}: strategies and blind need each other"
    elif probe.blind is not None and len(probe.blind) != len(probe.item):
        yield f"{place}: item and blind differ in length"
    elif probe.blind is not None and (probe.blind >> len(probe.strategies)).any():
        yield f"{place}.blind has bits of more than {len(probe.strategies)} strategies"


def _problems_of_earlier(probe, place, last_step):
    if any(len(answers.exact) != len(probe.exact) for answers in probe.earlier):
        yield f"{place}.earlier: exact differs in length from that of the last checkpoint"
    steps = [*(answers.step for answers in probe.earlier), *([last_step] if last_step else [])]
    if any(step >= following for step, following in itertools.pairwise(steps)):
        yield f"{place}.earlier: the steps do not ascend to that of the arm"


def _problems_of_probe(probe, place, chances):
    yield from _problems_of_blind(probe, place)
    lengths = {len(getattr(probe, name)) for name in ("item", "distance", "log_likelihood",
                                                      "exact")}
    if len(lengths) > 1:
        yield f"{place}: item, distance, log_likelihood and exact differ in length"
    if not _TASK.fullmatch(probe.task):  # files are named after it
        yield f"{place}.task: {probe.task!r} has signs other than letters, digits, _ and -"
    if probe.chance is None or not 0 <= probe.chance <= 1:
        yield f"{place}.chance is not a number from 0 to 1"
    elif chances.setdefault(_identity(probe), probe.chance) != probe.chance:
        yield f"{place}.chance differs from that of another arm for the same probe"


def _problems_of_text(text, place):
    for index, loss in enumerate(text.bigrams):
        if len(loss.nats) != len(loss.tokens):
            yield f"{place}.bigrams[{index}]: nats and tokens differ in length"
    kinds = [loss.kind for loss in text.bigrams]
    if len(set(kinds)) < len(kinds):
        yield f"{place}.bigrams has a class twice"
    for name in ("context", "long_context"):
        context = getattr(text, name)
        if context and len(context.full) != len(context.cut):
            yield f"{place}.{name}: full and cut differ in length"


def _problems_of(a_study):
    if not a_study.arms:
        yield "arms is empty: there is nothing to report"
    for name, times in collections.Counter(arm.name for arm in a_study.arms).items():
        if times > 1:
            yield f"arms: {times} are named {name!r}"
    if any((arm.ladder is None) != (a_study.ladder is None) for arm in a_study.arms):
        yield "ladder: the study has one, and each of its arms stands on it, or none does"
    named = {arm.ladder.layout if arm.ladder else arm.group for arm in a_study.arms}
    if a_study.contrast and a_study.contrast not in named:
        yield f"contrast: no arm is of a group {a_study.contrast!r}"
    for (group, seed), times in collections.Counter(
            (arm.group, arm.seed) for arm in a_study.arms).items():
        if times > 1:
            yield f"arms: {times} of group {group!r} have seed {seed}"
    chances = {}
    for index, arm in enumerate(a_study.arms):
        place = f"arms[{index}]"
        if not set(arm.layout) <= _LAYER_KINDS:
            yield f"{place}.layout: {arm.layout!r} has letters other than G and L"
        if any(not key.isdecimal() for key in arm.key_value_cache_bytes):
            yield f"{place}.key_value_cache_bytes: a key is not a number of tokens"
        seen = collections.Counter(_identity(probe) for probe in arm.probes)
        for (task, length, _, _), times in seen.items():
            if times > 1:
                yield f"{place}.recall.probes: {task} at length {length} is there {times} times"
        for number, probe in enumerate(arm.probes):
            yield from _problems_of_probe(probe, f"{place}.recall.probes[{number}]", chances)
            yield from _problems_of_earlier(probe, f"{place}.recall.probes[{number}]", arm.step)
        if arm.text:
            yield from _problems_of_text(arm.text, f"{place}.recall.text")


def read(path):
    """Raises shapes.InvalidInput."""
    return shapes.read_file(path, _STUDY, _problems_of)


def read_cost(path):
    """Raises shapes.InvalidInput."""
    def problems(cost):
        if not cost.rows:
            yield "rows is empty: there is nothing to draw"
    return shapes.read_file(path, _COST, problems)
