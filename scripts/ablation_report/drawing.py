"""How every plot looks: colours, legends, axes, and SVG that comes out the same each time."""

import dataclasses
import functools
import io
import math
import textwrap
import xml.etree.ElementTree as ElementTree

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from . import quantities

# Okabe and Ito's palette without its yellow, which cannot be read on white.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ((), (6, 2), (1.5, 1.5), (6, 2, 1.5, 2), (10, 3))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
PAGE_WIDTH = 11.2  # inches of the report's page
MOST_FILLED = 8  # groups; the intervals of more cover each other
GREY, LIGHT_GREY = "#666666", "#d9d9d9"
_LEGEND_FONT = 9  # points
_LEGEND_ROW, _LEGEND_LETTER, _LEGEND_MARK = 0.2, 0.078, 0.55  # inches
_LONGEST_LABEL = 50  # letters in one line
_MOST_ROWS_ABOVE = 4  # of a legend above the plot; a longer one goes below it
_FONT = "DejaVu Sans"  # comes with matplotlib: text is measured alike on all machines
_STYLE = {
    "figure.constrained_layout.use": True, "figure.constrained_layout.w_pad": 0.1,
    "font.family": _FONT, "font.size": 9, "text.parse_math": False,
    "axes.titlesize": 10, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.titlepad": 8, "axes.labelsize": 9, "axes.labelcolor": "#333333",
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#888888",
    "axes.linewidth": 0.8, "axes.grid": True, "axes.axisbelow": True, "axes.formatter.limits":
    (-4, 6), "axes.formatter.useoffset": False,
    "grid.color": "#e6e6e6", "grid.linewidth": 0.7,
    "xtick.color": "#888888", "ytick.color": "#888888", "xtick.labelcolor": "#333333",
    "ytick.labelcolor": "#333333", "xtick.labelsize": 8.5, "ytick.labelsize": 8.5,
    "lines.linewidth": 1.6, "lines.markersize": 4.5, "legend.frameon": False,
    "svg.fonttype": "none", "savefig.facecolor": "white",
}
# For a column of a paper: text as outlines in SVG, as embedded TrueType in PDF.
_PRINTED_STYLE = {
    **_STYLE, "svg.fonttype": "path", "pdf.fonttype": 42, "font.size": 8, "axes.labelsize": 8,
    "xtick.labelsize": 7.5, "ytick.labelsize": 7.5, "legend.fontsize": 7, "lines.linewidth": 1.3,
}
COLUMN_WIDTH, COLUMN_HEIGHT = 3.4, 2.5  # inches, the height without the legend
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


@dataclasses.dataclass(frozen=True)
class Style:
    """How a group is drawn in every plot and marked in every table."""
    color: str
    dashes: tuple
    marker: str

    @property
    def line(self):
        return {"color": self.color, "linestyle": (0, self.dashes) if self.dashes else "-",
                "marker": self.marker, "markeredgewidth": 0}


def styles(names):
    """{name: Style}: colours and markers first, then dashes."""
    return {name: Style(_COLORS[index % len(_COLORS)],
                        _DASHES[index // len(_COLORS) % len(_DASHES)],
                        _MARKERS[(index + index // len(_COLORS)) % len(_MARKERS)])
            for index, name in enumerate(names)}


class Svg:
    """A drawing whose ids begin with its name, so that several fit into one page. `text()` gives its
    text when it is first written: that takes most of the time of a report."""

    def __init__(self, name, text):
        self._name, self._text = name, text

    @functools.cached_property
    def _root(self):
        root = ElementTree.fromstring(self._text())
        for element in root.iter():
            element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
            attributes = {key.removeprefix(f"{{{_XLINK}}}"): value
                          for key, value in element.attrib.items()}
            element.attrib.clear()
            element.attrib.update({key: _own(key, value, self._name)
                                   for key, value in attributes.items()})
        return root

    def file(self):
        root = ElementTree.Element("svg", {"xmlns": _SVG, **self._root.attrib})
        root.extend(self._root)
        return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(
            root, encoding="unicode") + "\n"

    def inline(self, label):
        """For a page, at most as wide as it is. The page's style takes the place of its own, which
        would hold for the whole page."""
        width = self._root.get("width").removesuffix("pt")
        root = ElementTree.Element("svg", {
            "viewBox": self._root.get("viewBox"), "preserveAspectRatio": "xMinYMin",
            "role": "img", "aria-label": label, "style": f"width:100%;max-width:{width}pt"})
        root.extend(part for part in self._root
                    if part.tag != "defs" or part.find("style") is None)
        return ElementTree.tostring(root, encoding="unicode")


def _own(key, value, name):
    """An attribute's value with its ids made the drawing's own and only a generic font."""
    if key == "id":
        return f"{name}-{value}"
    if key == "href":
        return value.replace("#", f"#{name}-", 1)
    if key == "style" and "font" in value:
        return value.replace(f"'{_FONT}'", "sans-serif")
    return value.replace("url(#", f"url(#{name}-")


def _style(name, style):
    return matplotlib.rc_context({**style, "svg.hashsalt": name})


def _svg_text(figure):
    file = io.StringIO()
    figure.savefig(file, format="svg",
                   metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return file.getvalue()


def svg(name, draw, *arguments):
    """The Svg of the figure that draw(*arguments) returns; None if it returns none."""
    with _style(name, _STYLE):
        figure = draw(*arguments)

    def text():
        with _style(name, _STYLE):
            return _svg_text(figure)

    return figure and Svg(name, text)


class Printed:
    """A figure as two files, drawn when one of them is first written."""

    def __init__(self, name, figure):
        self._name, self._figure = name, figure

    @functools.cached_property
    def _files(self):
        with _style(self._name, _PRINTED_STYLE):
            svg_text = _svg_text(self._figure)
            # It has been laid out; doing so again takes as long as drawing.
            self._figure.set_layout_engine("none")
            pdf_file = io.BytesIO()
            self._figure.savefig(pdf_file, format="pdf", metadata=dict.fromkeys(
                ("Creator", "Producer", "CreationDate")))
        return svg_text, pdf_file.getvalue()

    @property
    def svg(self):
        return self._files[0]

    @property
    def pdf(self):
        return self._files[1]


def printed(name, draw, *arguments):
    """The Printed figure that draw(*arguments) returns; None if it returns none."""
    with _style(name, _PRINTED_STYLE):
        figure = draw(*arguments)
    return figure and Printed(name, figure)


def column_panel(entries):
    """(figure, its axes) for a column of a paper, under a legend of {label: legend entry}."""
    figure = Figure(figsize=(COLUMN_WIDTH, COLUMN_HEIGHT))
    if entries:
        figure.set_figheight(COLUMN_HEIGHT + 0.15 * len(entries) + 0.05)
        figure.legend(list(entries.values()), [wrapped(label) for label in entries],
                      loc="outside upper left", handlelength=2.4, labelspacing=0.3)
    return figure, figure.subplots()


def panels(width, height, shown, rows=1, columns=1, **options):
    """(figure, its axes as a 2-D array) of so many inches without the legend of `shown`, which is
    {label: Style or a ready legend entry}."""
    figure = Figure(figsize=(width, height))
    if shown:
        figure.set_figheight(height + _add_legend(figure, shown))
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def _add_legend(figure, shown):
    """Over the panels, or under them where it is long; returns the inches that it takes."""
    labels = [wrapped(label) for label in shown]
    lines = max(label.count("\n") + 1 for label in labels)
    widest = max(len(line) for label in labels for line in label.split("\n"))
    most = max(1, int(figure.get_figwidth() / (_LEGEND_LETTER * widest + _LEGEND_MARK)))
    rows = math.ceil(len(labels) / most)
    columns = math.ceil(len(labels) / rows)
    entries = [Line2D([], [], **style.line) if isinstance(style, Style) else style
               for style in shown.values()]
    # Matplotlib fills column by column; people read row by row.
    order = [index for column in range(columns) for index in range(column, len(labels), columns)]
    figure.legend([entries[index] for index in order], [labels[index] for index in order],
                  loc=f"outside {'upper' if rows <= _MOST_ROWS_ABOVE else 'lower'} left",
                  ncols=columns, fontsize=_LEGEND_FONT, handlelength=2.6, columnspacing=1.6,
                  labelspacing=0.35)
    return rows * lines * _LEGEND_ROW


def wrapped(label):
    return textwrap.fill(label, _LONGEST_LABEL)


def line(axes, style, x, figures, filled):
    """Means with their interval; a None among the figures is a gap."""
    y, low, high = [], [], []
    for figure in figures:
        y.append(math.nan if figure is None else figure.mean)
        known = figure is not None and figure.low is not None
        low.append(figure.low if known else math.nan)
        high.append(figure.high if known else math.nan)
    if filled:
        axes.fill_between(x, low, high, color=style.color, alpha=0.14, linewidth=0)
    many = len(x) > 24
    axes.plot(x, y, **{**style.line, "marker": "" if many else style.marker})


def point(axes, style, x, figure, across=False):
    """A mean with its interval at x; `across`: x is the row of a mean along the x axis."""
    if figure.low is not None:
        interval = axes.hlines if across else axes.vlines
        interval(x, figure.low, figure.high, color=style.color, linewidth=1.4)
    x, y = (figure.mean, x) if across else (x, figure.mean)
    axes.plot([x], [y], linestyle="", marker=style.marker, color=style.color, markersize=7,
              markeredgecolor="white", markeredgewidth=0.6)


def octaves(axes, values):
    """A logarithmic x axis with a tick at powers of two around the values."""
    axes.set_xscale("log", base=2)
    low, high = min(values), max(values)
    exponents = range(math.floor(math.log2(max(low, 1))), math.ceil(math.log2(max(high, 1))) + 1)
    step = max(1, math.ceil(len(exponents) / 9))
    _fixed_ticks(axes.xaxis, [2**exponent for exponent in exponents][::step],
                 lambda value: quantities.length(round(value)))
    if low == high:
        axes.set_xlim(low / 2, low * 2)
    else:
        margin = (high / low) ** 0.04
        axes.set_xlim(low / margin, high * margin)


def si_axis(axis):
    axis.set_major_formatter(FuncFormatter(lambda value, _: quantities.tick(value)))
    axis.set_minor_formatter(NullFormatter())


def decades(axes, values, which="x"):
    """A logarithmic axis if the values span more than a factor of 30, else a linear one."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    if values and min(values) > 0 and max(values) > 30 * min(values):
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    si_axis(axis)


def log_y(axes, values, form):
    """A logarithmic y axis with a few round ticks, whatever its span."""
    axes.set_yscale("log")
    if not values:
        return
    low, high = min(values) / 1.15, max(values) * 1.15
    decades_within = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.2, 1.5, 2, 3, 4, 5, 6, 8)):
        ticks = [step * 10.0**exponent for exponent in decades_within for step in steps]
        if sum(low <= value <= high for value in ticks) >= 3:
            break
    _fixed_ticks(axes.yaxis, ticks, form)
    axes.set_ylim(low, high)


def _fixed_ticks(axis, values, form):
    axis.set_major_locator(FixedLocator(values))
    axis.set_major_formatter(FuncFormatter(lambda value, _: form(value)))
    axis.set_minor_locator(NullLocator())


def extrapolation(axes, sequence_length):
    """Shades what is longer than the training sequences."""
    low, high = axes.get_xlim()
    if high > sequence_length:
        axes.axvspan(sequence_length, high, facecolor="#f4f4f4", edgecolor=LIGHT_GREY, hatch="////",
                     linewidth=0, zorder=0)
        axes.axvline(sequence_length, color=GREY, linewidth=0.9, linestyle=(0, (4, 2)))
        axes.text(sequence_length, 1.0, " extrapolation ", transform=axes.get_xaxis_transform(),
                  ha="left", va="top", fontsize=8, color=GREY,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85})
        axes.set_xlim(low, high)
