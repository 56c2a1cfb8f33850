"""A document as Markdown, with its plots in files beside it."""

import functools
import re

from . import document, quantities


def _plain(text):
    """Text that Markdown shows as it is, also in a table."""
    escaped = re.sub(r"([\\`*_\[\]<>|#~$])", r"\\\1", text)
    return escaped.replace("\n", " ")


@functools.singledispatch
def _cell(cell):
    return _plain(cell)


@_cell.register
def _(cell: document.GroupCell):
    return _plain(cell.name)


@_cell.register
def _(cell: document.LayoutCell):
    return _plain(quantities.layout(cell.letters))


@_cell.register
def _(cell: document.FigureCell):
    remark = f"({', '.join(cell.remarks)})" if cell.remarks else ""
    return _plain(" ".join(part for part in (cell.value, cell.interval, remark) if part))


@_cell.register
def _(cell: document.StateCell):
    return _plain(f"{cell.state}: {cell.reason}" if cell.reason else cell.state)


@functools.singledispatch
def _part(part):
    raise TypeError(type(part))


@_part.register
def _(part: document.Paragraph):
    return _plain(part.text)


@_part.register
def _(part: document.Bullets):
    return "\n".join(f"- {_plain(text)}" for text in part.texts)


@_part.register
def _(part: document.Facts):
    return "\n".join(f"- {_plain(name)}: {_plain(value)}" for name, value in part.pairs)


@_part.register
def _(part: document.Alert):
    return f"> **{_plain(part.label)}.** {_plain(part.text)}"


@_part.register
def _(part: document.Plot):
    return (f"### {_plain(part.title)}\n\n![{_plain(part.title)}](plots/{part.name}.svg)\n\n"
            f"{_plain(part.caption)}")


@_part.register
def _(part: document.Figures):
    shown = [f"![{_plain(figure.title)}](figures/{figure.name}.svg)\n\n{_plain(figure.title)} "
             f"([PDF](figures/{figure.name}.pdf))" for figure in part.figures]
    return "\n\n".join([*shown, _plain(part.caption)])


@_part.register
def _(part: document.Links):
    return "\n".join(f"- [{file}]({file}): {_plain(what)}" for file, what in part.pairs)


@_part.register
def _(part: document.Table):
    heads = [_plain(f"{column.over}, {column.title}" if column.over else column.title)
             for column in part.columns]
    rules = ["--:" if column.numeric else ":--" for column in part.columns]
    lines = [heads, rules, *([_cell(cell) for cell in row] for row in part.rows)]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    caption = f"\n\n{_plain(part.caption)}" if part.caption else ""
    title = f"### {_plain(part.title)}\n\n" if part.title else ""
    return f"{title}{table}{caption}"


@_part.register
def _(part: document.Subheading):
    return f"### {_plain(part.text)}"


def text(a_document):
    blocks = [f"# {_plain(a_document.title)}", _plain(a_document.subtitle)]
    for section in a_document.sections:
        blocks.append(f"## {_plain(section.title)}")
        blocks.extend(_part(part) for part in section.parts)
    return "\n\n".join(blocks) + "\n"
