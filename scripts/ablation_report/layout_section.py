"""The section with the figures that papers show."""

import dataclasses
import typing

from . import drawing, floors, layout_figures, layouts, measures, quantities, recall
from .document import Figure, Figures, Section


@dataclasses.dataclass(frozen=True)
class Quantity:
    """What a figure has on its y axis."""
    file: str  # begins the names of its files
    title: str
    label: str
    interval: str  # named in the legend
    of: typing.Callable  # GroupFigures -> Estimate or None
    floor: floors.Floor | None = None  # of a recall

    @property
    def is_share(self):
        return self.floor is not None


_AXES = (("share", "share of global layers", layout_figures.against_share),
         ("window", "window", layout_figures.against_window))


def section(groups, references, bands):
    places = layouts.places(groups)
    figures = [Figure(name, drawn, f"{quantity.title} against {axis}")
               for short, axis, draw in _AXES for quantity in _quantities(groups, references, bands)
               if (drawn := drawing.printed(name := f"{quantity.file}_by_{short}", draw, places,
                                            quantity))]
    if not figures:
        return Section("Figures for a paper", ())
    return Section("Figures for a paper", (Figures(tuple(figures), (
        "Means over the finished seeds of a group. Lines join layouts that differ in nothing but what "
        "the x axis shows; a share of global layers has several points where layouts place them "
        "differently. The legend names the intervals; fewer than three seeds: none. Recall: bands of "
        f"distance {_whose(bands)}.")),), new_page=True)


def _whose(bands):
    if bands.own:
        return "of each group's own reach"
    return f"of the study, W = {bands.window}, {quantities.count(bands.layers, 'layer')}"


def _quantities(groups, references, bands):
    yield Quantity("loss", "Validation loss", "validation loss (nats per token)",
                   "95 % t interval over seeds", lambda group: group.validation_loss)
    for name, key in references.items():
        for band in recall.BANDS:
            if floor := measures.highest_floor(groups, key, band):
                yield Quantity(
                    f"recall_{key.file}_{band}", f"{name}, length {key.length}, {band}",
                    f"exact match, {quantities.band_range(bands, band)}\n"
                    f"({name}, length {key.length})",
                    "95 % interval over seeds and items", _recall(key, band), floor)


def _recall(key, band):
    return lambda group: group.probes[key].bands[band].exact if key in group.probes else None
