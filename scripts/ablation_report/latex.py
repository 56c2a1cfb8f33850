"""Tables for a paper in LaTeX. They need no package: lines are \\hline."""

import functools
import itertools

from . import document, quantities

_SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
    "\N{MINUS SIGN}": "$-$", "×": r"$\times$", "≤": r"$\le$", "∞": r"$\infty$", "–": "--",
    "µ": r"$\mu$", "†": r"$^\dagger$", "\n": " "}


def escaped(text):
    """Text that LaTeX prints as it is."""
    return "".join(_SIGNS.get(sign, sign) for sign in text)


@functools.singledispatch
def _cell(cell):
    return escaped(cell)


@_cell.register
def _(cell: document.GroupCell):
    return escaped(cell.name)


@_cell.register
def _(cell: document.LayoutCell):
    return rf"\texttt{{{escaped(quantities.layout(cell.letters))}}}"


@_cell.register
def _(cell: document.FigureCell):
    value = f"{cell.value}†" if cell.faint else cell.value
    interval = rf" {{\scriptsize {escaped(cell.interval)}}}" if cell.interval else ""
    remarks = "".join(f" ({escaped(remark)})" for remark in cell.remarks)
    return f"{escaped(value)}{interval}{remarks}"


def _heads(columns):
    """One line of headings, or two where columns share a heading over them."""
    lower = " & ".join(escaped(column.title) for column in columns) + r" \\"
    if not any(column.over for column in columns):
        return [lower]
    cells, rules, first = [], [], 1
    for over, run in itertools.groupby(columns, key=lambda column: column.over):
        count = len(list(run))
        cells.append(rf"\multicolumn{{{count}}}{{c}}{{{escaped(over)}}}" if over else
                     " & ".join([""] * count))
        if over:
            rules.append(rf"\cline{{{first}-{first + count - 1}}}")
        first += count
    return [" & ".join(cells) + r" \\" + "".join(rules), lower]


def _row(row):
    """The end of a row takes a [ or a * behind it for its own: a first cell must not begin so."""
    line = " & ".join(_cell(cell) for cell in row) + r" \\"
    return f"{{}}{line}" if line[0] in "[*" else line


def _table(table):
    kinds = "".join("r" if column.numeric else "l" for column in table.columns)
    rows = [_row(row) for row in table.rows]
    return "\n".join([
        r"\begin{table}", r"\centering\small", rf"\caption{{{escaped(table.caption)}}}",
        rf"\begin{{tabular}}{{{kinds}}}", r"\hline", *_heads(table.columns), r"\hline", *rows,
        r"\hline", r"\end{tabular}", r"\end{table}"])


def text(tables):
    return "\n\n".join(_table(table) for table in tables) + "\n"
