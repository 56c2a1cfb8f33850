"""A document as one HTML page that needs nothing else: style and plots are in it."""

import functools
import html
import itertools
import pathlib
import re

from . import document, quantities
from .drawing import LIGHT_GREY, Svg

_STYLE = pathlib.Path(__file__).with_name("page.css")
_GLOBAL = "#222222"
_WIDEST_LAYOUT, _WIDEST_LAYER, _LAYOUT_HEIGHT = 168, 10, 14  # pixels
# Markers as paths around the origin, of about the same area as matplotlib's.
_MARKERS = {
    "o": "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z", "s": "M-3.2 -3.2h6.4v6.4h-6.4z",
    "^": "M0 -3.8L3.8 3.4H-3.8z", "v": "M0 3.8L3.8 -3.4H-3.8z", "D": "M0 -4.2L4.2 0L0 4.2L-4.2 0z",
    "P": "M-1.4 -3.8h2.8v2.4h2.4v2.8h-2.4v2.4h-2.8v-2.4h-2.4v-2.8h2.4z",
    "X": "M-3.8 -1.9L-1.9 -3.8L0 -1.9L1.9 -3.8L3.8 -1.9L1.9 0L3.8 1.9L1.9 3.8L0 1.9L-1.9 3.8"
         "L-3.8 1.9L-1.9 0z",
}


def swatch(style):
    """A piece of a group's line with its marker, as the legends of the plots have it."""
    dashes = f' stroke-dasharray="{" ".join(map(str, style.dashes))}"' if style.dashes else ""
    return ('<svg width="26" height="12" viewBox="0 0 26 12" aria-hidden="true">'
            f'<path d="M0 6H26" stroke="{style.color}" stroke-width="2" fill="none"{dashes}/>'
            f'<path d="{_MARKERS[style.marker]}" transform="translate(13 6)" '
            f'fill="{style.color}"/></svg>')


def stripes(letters):
    """A layout as stripes: dark for global, light for local layers."""
    width = min(_WIDEST_LAYER, _WIDEST_LAYOUT / len(letters))
    gap = 1 if width >= 4 else 0.4
    paths = {"G": [], "L": []}
    for index, kind in enumerate(letters):
        paths[kind].append(f"M{index * width:.2f} 0h{width - gap:.2f}v{_LAYOUT_HEIGHT}"
                           f"h-{width - gap:.2f}z")
    total = len(letters) * width
    label = html.escape(f"{len(letters)} layers: {quantities.layout(letters)}", quote=True)
    drawn = "".join(f'<path fill="{color}" d="{"".join(paths[kind])}"/>'
                    for kind, color in (("G", _GLOBAL), ("L", LIGHT_GREY)) if paths[kind])
    return (f'<svg width="{total:.2f}" height="{_LAYOUT_HEIGHT}" viewBox="0 0 {total:.2f} '
            f'{_LAYOUT_HEIGHT}" role="img" aria-label="{label}">{drawn}</svg>')


def _breakable(name):
    """A name that may go on in the next line after a sign that joins words."""
    return re.sub(r"([_.,:/=-])(?=\w)", r"\1<wbr>", html.escape(name))


@functools.singledispatch
def _cell(cell):
    return html.escape(cell)


@_cell.register
def _(cell: document.GroupCell):
    return (f'<span class="group">{swatch(cell.style)}'
            f"<span>{_breakable(cell.name)}</span></span>")


@_cell.register
def _(cell: document.LayoutCell):
    if not cell.letters:
        return quantities.NONE
    counts = ", ".join(f"{cell.letters.count(kind)} {name}"
                       for kind, name in (("G", "global"), ("L", "local")) if kind in cell.letters)
    return (f'<span class="layout">{stripes(cell.letters)}'
            f'<span class="letters">{counts}</span></span>')


@_cell.register
def _(cell: document.FigureCell):
    parts = [f'<span class="value">{html.escape(cell.value)}</span>']
    if cell.interval:
        parts.append(f'<span class="interval">{html.escape(cell.interval)}</span>')
    parts.extend(f'<span class="remark">{html.escape(remark)}</span>' for remark in cell.remarks)
    text = "".join(parts)
    return f'<span class="faint">{text}</span>' if cell.faint else text


@_cell.register
def _(cell: document.LinesCell):
    return "".join(f'<span class="line">{_breakable(line)}</span>' for line in cell.lines)


@_cell.register
def _(cell: document.StateCell):
    reason = f'<span class="reason">{html.escape(cell.reason)}</span>' if cell.reason else ""
    return f'<span class="state-{cell.state}">{cell.state}</span>{reason}'


def _head(columns):
    """One row of headings, or two where columns share a heading over them."""
    def single(column, rows):
        numeric = ' class="numeric"' if column.numeric else ""
        return f'<th scope="col"{numeric}{rows}>{html.escape(column.title)}</th>'

    if not any(column.over for column in columns):
        return f"<tr>{''.join(single(column, '') for column in columns)}</tr>"
    upper, lower = [], []
    for over, run in itertools.groupby(columns, key=lambda column: column.over):
        run = list(run)
        if over:
            upper.append(f'<th scope="colgroup" class="over" colspan="{len(run)}">'
                         f"{html.escape(over)}</th>")
            lower.extend(single(column, "") for column in run)
        else:
            upper.extend(single(column, ' rowspan="2"') for column in run)
    return f"<tr>{''.join(upper)}</tr><tr>{''.join(lower)}</tr>"


def _full_title(column):
    """Stands beside each cell where a narrow screen has no room for columns."""
    return f"{column.over}, {column.title}" if column.over else column.title


def _row(columns, row):
    cells = "".join(f'<td class="{"numeric" if column.numeric else "text"}" '
                    f'data-head="{html.escape(_full_title(column), quote=True)}">{_cell(cell)}</td>'
                    for column, cell in zip(columns, row, strict=True))
    left_out = any(isinstance(cell, document.StateCell) and cell.state != "finished"
                   for cell in row)
    return f'<tr class="not-finished">{cells}</tr>' if left_out else f"<tr>{cells}</tr>"


@functools.singledispatch
def _part(part):
    raise TypeError(type(part))


@_part.register
def _(part: document.Paragraph):
    return f"<p>{html.escape(part.text)}</p>"


@_part.register
def _(part: document.Subheading):
    return f"<h3>{html.escape(part.text)}</h3>"


@_part.register
def _(part: document.Bullets):
    return "<ul>\n" + "".join(f"<li>{html.escape(text)}</li>\n" for text in part.texts) + "</ul>"


@_part.register
def _(part: document.Facts):
    return "<dl>" + "".join(f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>"
                            for name, value in part.pairs) + "</dl>"


@_part.register
def _(part: document.Alert):
    kind = re.sub("[^a-z]+", "-", part.label.lower())
    return (f'<p class="alert {kind}"><strong>{html.escape(part.label)}.</strong> '
            f"{html.escape(part.text)}</p>")


@_part.register
def _(part: document.Verbatim):
    return f"<pre>{html.escape(part.text)}</pre>"


@_part.register
def _(part: document.Plot):
    caption = f"<figcaption>{html.escape(part.caption)}</figcaption>" if part.caption else ""
    return f"<figure><h3>{html.escape(part.title)}</h3>\n{part.svg.inline(part.title)}\n{caption}</figure>"


@_part.register
def _(part: document.Panels):
    legend = f'<p class="legend">{"".join(map(_cell, part.legend))}</p>' if part.legend else ""
    return f'{legend}<div class="panels">{"".join(map(_part, part.plots))}</div>'


def _link(file, text):
    return f'<a href="{html.escape(file, quote=True)}">{html.escape(text)}</a>'


def _figure(figure):
    files = ", ".join(_link(f"figures/{figure.name}.{kind}", kind.upper())
                      for kind in ("svg", "pdf"))
    drawn = Svg(figure.name, lambda: figure.drawn.svg).inline(figure.title)
    return (f"<figure>{drawn}\n<figcaption>{html.escape(figure.title)} ({files})</figcaption>"
            "</figure>")


@_part.register
def _(part: document.Figures):
    panels = "\n".join(_figure(figure) for figure in part.figures)
    return f'<div class="figures">{panels}</div>\n<p class="caption">{html.escape(part.caption)}</p>'


@_part.register
def _(part: document.Links):
    return "<ul>\n" + "".join(f"<li>{_link(file, file)}: {html.escape(what)}</li>\n"
                              for file, what in part.pairs) + "</ul>"


@_part.register
def _(part: document.Table):
    rows = "\n".join(_row(part.columns, row) for row in part.rows)
    caption = f'<p class="caption">{html.escape(part.caption)}</p>' if part.caption else ""
    title = f"<h3>{html.escape(part.title)}</h3>\n" if part.title else ""
    return (f'{title}<div class="wide"><table><thead>{_head(part.columns)}</thead>\n'
            f"<tbody>{rows}</tbody></table></div>{caption}")


def text(a_document):
    title = html.escape(a_document.title)
    sections, links = [], []
    for number, section in enumerate(a_document.sections, 1):
        place, name = f"section-{number}", html.escape(section.title)
        links.append(f'<li><a href="#{place}">{name}</a></li>')
        kind = ' class="new-page"' if section.new_page else ""
        parts = "\n".join(_part(part) for part in section.parts)
        sections.append(f'<section id="{place}"{kind}>\n<h2>{name}</h2>\n{parts}\n</section>')
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{_STYLE.read_text(encoding='utf-8')}</style>\n</head>\n"
        f"<body>\n<main>\n<header>\n<h1>{title}</h1>\n"
        f'<p class="subtitle">{html.escape(a_document.subtitle)}</p>\n'
        f"<nav><ul>{''.join(links)}</ul></nav>\n</header>\n" + "\n".join(sections) +
        "\n</main>\n</body>\n</html>\n")
