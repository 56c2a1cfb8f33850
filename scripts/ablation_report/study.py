"""What `zebra ablate` has written, as typed values."""

import collections
import dataclasses
import functools
import itertools
import re
import typing

import numpy as np

from . import shapes

CLASSES = ("control", "relay", "beyond", "rest")  # of the tokens of a text
STATES = ("finished", "failed", "unfinished")
_LAYER_KINDS = {"G", "L"}
_DIFFICULTIES = ("pairs", "hops")
_TASK = re.compile(r"[A-Za-z0-9_-]+")


@dataclasses.dataclass(frozen=True)
class Bands:
    """A window of `window` tokens carries a fact that far in one layer, and through `layers` local
    layers `window * layers` far. Of a study: what questions are drawn by; `of` "own" says that each
    group's answers are sorted by its own (see Study.bands_of)."""
    window: int
    layers: int
    of: str = "common"

    @property
    def own(self):
        return self.of == "own"

    @property
    def reach(self):
        return self.window * self.layers


@dataclasses.dataclass(frozen=True)
class CurvePoint:
    step: int
    tokens: float | None = None
    training_flops: float | None = None
    loss: float | None = None


@dataclasses.dataclass(frozen=True)
class PositionLoss:
    """Of the tokens at positions begin to end - 1."""
    begin: int
    end: int
    loss: float | None = None


@dataclasses.dataclass(frozen=True)
class LengthLoss:
    length: int
    loss: float | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class ClassLoss:
    """Summed loss and number of tokens of a class in every window of the text."""
    kind: str = dataclasses.field(metadata={"key": "class"})
    nats: np.ndarray
    tokens: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class ContextLoss:
    """Losses of the same tokens with their full context and with the last `kept` tokens of it (W of
    the study's bands where it is not told)."""
    full: np.ndarray
    cut: np.ndarray
    kept: int | None = None


@dataclasses.dataclass(frozen=True)
class TextRecall:
    loss: float | None = None
    tokens: int | None = None
    by_position: tuple[PositionLoss, ...] = ()
    by_visible: tuple[PositionLoss, ...] = ()  # by earlier tokens of the document, not by position
    by_length: tuple[LengthLoss, ...] = ()
    bigrams: tuple[ClassLoss, ...] = ()
    context: ContextLoss | None = None
    long_context: ContextLoss | None = None  # cut to a short one, whatever the layout


@dataclasses.dataclass(frozen=True, eq=False)
class EarlierAnswers:
    """What a kept checkpoint of the run made of the same answer tokens."""
    step: int
    exact: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Probe:
    """Parallel arrays, one entry per answer token. `chance`: of an exact match by guessing, of what
    is counted, which is an answer or a whole item (see recall.py). Bit k of `blind`: does
    strategies[k], which reads no key, predict this token?"""
    task: str
    length: int
    chance: float
    item: np.ndarray
    distance: np.ndarray
    log_likelihood: np.ndarray
    exact: np.ndarray
    strategies: tuple[str, ...] = ()  # none: the results do not know of any
    blind: np.ndarray | None = None
    pairs: int | None = None
    hops: int | None = None
    earlier: tuple[EarlierAnswers, ...] = ()  # the oldest first


class ProbeKey(typing.NamedTuple):
    """What a probe asks. `difficulty` tells those of a task apart, and is empty where there is only
    one."""
    task: str
    length: int
    difficulty: str = ""

    @property
    def name(self):
        return f"{self.task}, {self.difficulty}" if self.difficulty else self.task

    @property
    def text(self):
        return f"{self.name} at length {self.length}"

    @property
    def file(self):
        return "_".join([self.task, str(self.length), *re.findall(r"\w+", self.difficulty)])


@dataclasses.dataclass(frozen=True)
class Recall:
    text: TextRecall | None = None
    probes: tuple[Probe, ...] = ()


@dataclasses.dataclass(frozen=True)
class Source:
    """What a source of the training data gave: shares of all that the sources gave."""
    name: str
    samples_share: float | None = None
    targets_share: float | None = None
    loss_share: float | None = None


@dataclasses.dataclass(frozen=True)
class LadderPoint:
    """Where an arm stands on a ladder. `layout`: what it is called at all sizes; `parameters`: as scaling laws count
    them; the cache is that at the longest length of the study."""
    layout: str
    size: str
    tokens_per_parameter: float
    learning_rate: float
    parameters: int
    key_value_cache_bytes: int


@dataclasses.dataclass(frozen=True)
class Arm:
    """One training run."""
    name: str
    group: str
    seed: int
    state: str
    reason: str = ""
    settings: dict = dataclasses.field(default_factory=dict)
    step: int | None = None
    steps: int | None = None
    layout: str = ""
    window_size: int | None = None
    parameters: int | None = None
    training_flops: float | None = None
    training_flops_per_token: float | None = None
    tokens: int | None = None
    key_value_cache_bytes: dict = dataclasses.field(default_factory=dict)
    tokens_per_second: float | None = None
    peak_memory_gib: float | None = None
    seconds: float | None = None
    curve: tuple[CurvePoint, ...] = ()
    validation_curve: tuple[CurvePoint, ...] = ()
    recall: Recall | None = None
    sources: tuple[Source, ...] = ()
    ladder: LadderPoint | None = None

    @property
    def finished(self):
        return self.state == "finished"

    def tokens_at(self, step):
        """Trained on by then; None where that is not known."""
        return step * self.tokens / self.steps if self.tokens and self.steps else None

    @property
    def probes(self):
        return self.recall.probes if self.recall else ()

    @property
    def text(self):
        return self.recall.text if self.recall else None


@dataclasses.dataclass(frozen=True)
class Group:
    """The arms that differ in nothing but their seed."""
    name: str
    arms: tuple[Arm, ...]

    @functools.cached_property
    def finished(self):
        return tuple(arm for arm in self.arms if arm.finished)

    def common(self, field):
        """A field that is the same for every seed, from the first arm that knows it."""
        return next((value for arm in (*self.finished, *self.arms)
                     if (value := getattr(arm, field))), None)

    @property
    def all_local(self):
        return set(self.common("layout") or "") == {"L"}

    @property
    def bands_key(self):
        """What Study.bands_of takes."""
        return self.common("layout"), self.common("window_size")

    @property
    def reach(self):
        """How far a layout without global layers can carry a fact; None for others."""
        window = self.common("window_size")
        return window * len(self.common("layout")) if self.all_local and window else None


@dataclasses.dataclass(frozen=True)
class CostRow:
    layout: str
    pattern: str
    length: int
    seconds: dict = dataclasses.field(default_factory=dict)
    predicted_seconds: dict = dataclasses.field(default_factory=dict)
    tokens_per_second: float | None = None
    peak_memory_gib: float | None = None


@dataclasses.dataclass(frozen=True)
class Cost:
    rows: tuple[CostRow, ...]
    device: str = ""
    machine: str = ""
    threads: int | None = None
    precision: str = ""


@dataclasses.dataclass(frozen=True)
class Ladder:
    longest_length: int
    cost: dict = dataclasses.field(default_factory=dict)  # of each size: Cost, or None


@dataclasses.dataclass(frozen=True)
class Study:
    name: str
    sequence_length: int
    bands: Bands
    arms: tuple[Arm, ...]
    zebra: str = ""
    machine: str = ""
    budget: str = ""
    contrast: str = ""  # the group that the others are compared with
    cost: Cost | None = None
    ladder: Ladder | None = None

    @functools.cached_property
    def groups(self):
        """In the order in which the study names them."""
        found = {}
        for arm in self.arms:
            found.setdefault(arm.group, []).append(arm)
        return tuple(Group(name, tuple(arms)) for name, arms in found.items())

    def bands_of(self, layout, window):
        """Those by which the answers of a layout with that window are sorted."""
        local = (layout or "").count("L")
        if not self.bands.own or not local or not window:
            return dataclasses.replace(self.bands, of="common")
        return Bands(window, local)

    @functools.cached_property
    def _difficulties(self):
        """{task: the fields in which its probes differ}"""
        values = collections.defaultdict(set)
        for arm in self.arms:
            for probe in arm.probes:
                for field in _DIFFICULTIES:
                    values[probe.task, field].add(getattr(probe, field))
        return {task: [field for field in _DIFFICULTIES if len(values[task, field]) > 1]
                for task, _ in values}

    def key(self, probe):
        parts = [f"{value} {field if value != 1 else field.removesuffix('s')}"
                 for field in self._difficulties[probe.task]
                 if (value := getattr(probe, field)) is not None]
        return ProbeKey(probe.task, probe.length, ", ".join(parts))

    @functools.cached_property
    def probe_keys(self):
        """Of every probe of a finished arm, in the order of the study."""
        return tuple(dict.fromkeys(self.key(probe) for arm in self.arms if arm.finished
                                   for probe in arm.probes))


_WHOLE, _POSITIVE = shapes.whole(0), shapes.whole(1)
_NUMBERS = shapes.mapping(shapes.number)
_CURVE = shapes.sequence(shapes.record(
    CurvePoint, step=_WHOLE, tokens=shapes.number, training_flops=shapes.number,
    loss=shapes.number))
_PROBE = shapes.record(
    Probe, task=shapes.text, length=_POSITIVE, chance=shapes.number, item=shapes.whole_numbers(0),
    distance=shapes.whole_numbers(0), log_likelihood=shapes.numbers,
    exact=shapes.whole_numbers(0, 1), strategies=shapes.sequence(shapes.text),
    blind=shapes.whole_numbers(0), pairs=_WHOLE, hops=_WHOLE,
    earlier=shapes.sequence(shapes.record(EarlierAnswers, step=_POSITIVE,
                                          exact=shapes.whole_numbers(0, 1))))
_TEXT = shapes.record(
    TextRecall, loss=shapes.number, tokens=_WHOLE,
    by_position=shapes.sequence(shapes.record(PositionLoss, begin=_WHOLE, end=_POSITIVE,
                                              loss=shapes.number)),
    by_visible=shapes.sequence(shapes.record(PositionLoss, begin=_WHOLE, end=_POSITIVE,
                                             loss=shapes.number)),
    by_length=shapes.sequence(shapes.record(LengthLoss, length=_POSITIVE, loss=shapes.number)),
    bigrams=shapes.sequence(shapes.record(
        ClassLoss, kind=shapes.choice(*CLASSES), nats=shapes.numbers,
        tokens=shapes.whole_numbers(0))),
    context=shapes.record(ContextLoss, full=shapes.numbers, cut=shapes.numbers),
    long_context=shapes.record(ContextLoss, full=shapes.numbers, cut=shapes.numbers,
                               kept=_POSITIVE))
_ARM = shapes.record(
    Arm, name=shapes.text, group=shapes.text, seed=_WHOLE, state=shapes.choice(*STATES),
    reason=shapes.text, settings=shapes.mapping(shapes.anything), step=_WHOLE, steps=_WHOLE,
    layout=shapes.text, window_size=_WHOLE, parameters=_WHOLE, training_flops=shapes.number,
    training_flops_per_token=shapes.number, tokens=_WHOLE, key_value_cache_bytes=_NUMBERS,
    tokens_per_second=shapes.number, peak_memory_gib=shapes.number, seconds=shapes.number,
    curve=_CURVE, validation_curve=_CURVE,
    sources=shapes.sequence(shapes.record(
        Source, name=shapes.text, samples_share=shapes.number, targets_share=shapes.number,
        loss_share=shapes.number)),
    ladder=shapes.record(
        LadderPoint, layout=shapes.text, size=shapes.text, tokens_per_parameter=shapes.number,
        learning_rate=shapes.number, parameters=_POSITIVE, key_value_cache_bytes=_WHOLE),
    recall=shapes.record(Recall, text=_TEXT, probes=shapes.sequence(_PROBE)))
_COST = shapes.record(
    Cost, device=shapes.text, machine=shapes.text, threads=_WHOLE, precision=shapes.text,
    rows=shapes.sequence(shapes.record(
        CostRow, layout=shapes.text, pattern=shapes.text, length=_POSITIVE, seconds=_NUMBERS,
        predicted_seconds=_NUMBERS, tokens_per_second=shapes.number,
        peak_memory_gib=shapes.number)))
_LADDER = shapes.record(
    Ladder, longest_length=_POSITIVE, cost=shapes.mapping(
        lambda value, *others: None if value is None else _COST(value, *others)))
_STUDY = shapes.record(
    Study, name=shapes.text, zebra=shapes.text, machine=shapes.text, sequence_length=_POSITIVE,
    budget=shapes.text, contrast=shapes.text, bands=shapes.record(
        Bands, window=_POSITIVE, layers=_POSITIVE, of=shapes.choice("common", "own")),
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


def _problems_of(study):
    if not study.arms:
        yield "arms is empty: there is nothing to report"
    for name, times in collections.Counter(arm.name for arm in study.arms).items():
        if times > 1:
            yield f"arms: {times} are named {name!r}"
    if any((arm.ladder is None) != (study.ladder is None) for arm in study.arms):
        yield "ladder: the study has one, and each of its arms stands on it, or none does"
    named = {arm.ladder.layout if arm.ladder else arm.group for arm in study.arms}
    if study.contrast and study.contrast not in named:
        yield f"contrast: no arm is of a group {study.contrast!r}"
    for (group, seed), times in collections.Counter(
            (arm.group, arm.seed) for arm in study.arms).items():
        if times > 1:
            yield f"arms: {times} of group {group!r} have seed {seed}"
    chances = {}
    for index, arm in enumerate(study.arms):
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
