"""What `zebra ablate` has written, as typed values."""

import collections
import dataclasses
import functools
import re
import typing

import numpy as np

CLASSES = ("control", "relay", "beyond", "rest")  # of the tokens of a text
STATES = ("finished", "failed", "unfinished")
_DIFFICULTIES = ("pairs", "hops")


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
