"""Where a group stands among the layouts of a study: its share of global layers, how they are
placed, its window, and what else tells it from others."""

import dataclasses
import fractions

from . import measures, quantities

FIRST, LAST, INSIDE = ("global layer first in each group", "global layer last in each group",
                       "global layer inside each group")
REPEATED = (FIRST, LAST, INSIDE)
# Settings that the layout, the window and the seed tell already.
_TOLD = {"run.seed", "model.window_size", "model.attention_pattern", "model.self_attn_type",
         "model.layer_group_size", "model.global_layer", "model.always_global"}


@dataclasses.dataclass(frozen=True)
class Series:
    """Groups that a line may join."""
    window: int | None  # None: no local layers, or the same in all groups
    others: tuple[str, ...]

    @property
    def name(self):
        window = () if self.window is None else (f"W = {self.window}",)
        return ", ".join([*window, *self.others])


@dataclasses.dataclass(frozen=True, eq=False)
class Place:
    group: measures.GroupFigures
    letters: str
    share: fractions.Fraction  # of global layers
    placement: str | None  # None: layers of one kind
    window: int | None  # None: no local layers
    series: Series

    @property
    def layout_name(self):
        return ", ".join([quantities.layout(self.letters), *self.series.others])


def places(groups):
    """A Place of each group whose layout is known, in their order. `groups`: GroupFigures."""
    known = [(group, letters, _window(group.group, letters)) for group in groups
             if (letters := group.group.common("layout"))]
    windows = {window for _, _, window in known if window is not None}
    others = _others(known)
    return [Place(group, letters, fractions.Fraction(letters.count("G"), len(letters)),
                  placement(letters), window,
                  Series(window if len(windows) > 1 else None, others[group.name]))
            for group, letters, window in known]


def placement(letters):
    """One of REPEATED, or the layout itself where its groups have several layers of each kind."""
    if len(set(letters)) < 2:
        return None
    group = letters[:quantities.period(letters)]
    if min(group.count("G"), group.count("L")) > 1:
        return quantities.layout(letters)
    ends = group[0] + group[-1]
    return {"GL": FIRST, "LG": LAST, "LL": INSIDE}.get(ends, quantities.layout(letters))


def _window(group, letters):
    return group.common("window_size") if "L" in letters else None


def _others(known):
    """{group name: what tells it apart besides layout and window}: the number of layers, and other
    settings where layout and window do not do."""
    several_depths = len({len(letters) for _, letters, _ in known}) > 1
    same = len({(letters, window) for _, letters, window in known}) < len(known)
    settings = {group.name: group.group.arms[0].settings for group, _, _ in known}
    varied = [key for key in dict.fromkeys(key for of_group in settings.values() for key in of_group)
              if key not in _TOLD and
              len({str(of_group.get(key)) for of_group in settings.values()}) > 1]
    return {group.name: (
        *((quantities.count(len(letters), "layer"),) if several_depths else ()),
        *(f"{key.rpartition('.')[2]} = {settings[group.name][key]}" for key in varied
          if same and key in settings[group.name]))
            for group, letters, _ in known}
