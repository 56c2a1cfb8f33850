"""The parts of a report, apart from how HTML or Markdown writes them. All text is plain."""

import dataclasses

from .drawing import Printed, Style, Svg


@dataclasses.dataclass(frozen=True)
class Paragraph:
    text: str


@dataclasses.dataclass(frozen=True)
class Subheading:
    text: str


@dataclasses.dataclass(frozen=True)
class Bullets:
    texts: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Facts:
    """Pairs of a name and a value."""
    pairs: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Alert:
    label: str
    text: str


@dataclasses.dataclass(frozen=True)
class Verbatim:
    """Lines as they are, each letter as wide as the others."""
    text: str


@dataclasses.dataclass(frozen=True)
class Plot:
    name: str  # of the file
    svg: Svg
    title: str
    caption: str


@dataclasses.dataclass(frozen=True)
class Panels:
    """Plots beside each other where there is room, below each other where there is none, under one legend."""
    plots: tuple[Plot, ...]
    legend: tuple  # of GroupCell


@dataclasses.dataclass(frozen=True)
class Figure:
    """One panel, as papers print it."""
    name: str  # of its two files
    drawn: Printed
    title: str


@dataclasses.dataclass(frozen=True)
class Figures:
    figures: tuple[Figure, ...]
    caption: str


@dataclasses.dataclass(frozen=True)
class Links:
    """Pairs of a file of the report and what it holds."""
    pairs: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Column:
    title: str
    over: str = ""  # a heading over neighbouring columns that share it
    numeric: bool = True


@dataclasses.dataclass(frozen=True)
class GroupCell:
    name: str
    style: Style


@dataclasses.dataclass(frozen=True)
class LayoutCell:
    letters: str


@dataclasses.dataclass(frozen=True)
class FigureCell:
    value: str
    interval: str = ""
    remarks: tuple[str, ...] = ()
    faint: bool = False  # nothing follows from it


@dataclasses.dataclass(frozen=True)
class LinesCell:
    lines: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class StateCell:
    state: str
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Table:
    title: str  # may be empty
    columns: tuple[Column, ...]
    rows: tuple[tuple, ...]  # of cells: a str, or one of the classes above
    caption: str = ""


@dataclasses.dataclass(frozen=True)
class Section:
    title: str
    parts: tuple
    new_page: bool = False  # in print


@dataclasses.dataclass(frozen=True)
class Document:
    title: str
    subtitle: str
    sections: tuple[Section, ...]
    paper_tables: tuple[Table, ...]  # in a file of their own only

    def _parts(self, kind):
        return [part for section in self.sections for part in section.parts
                if isinstance(part, kind)]

    def plots(self):
        return self._parts(Plot)

    def figures(self):
        return [figure for part in self._parts(Figures) for figure in part.figures]
