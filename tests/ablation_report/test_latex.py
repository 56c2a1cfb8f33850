"""table.tex: the figures of the main table, and text that LaTeX prints as it is."""

import re

import pytest
import synthetic
from test_report import mean, share, validation_loss

from ablation_report import contents, latex

NAME = r"a_b & 50 % {x} \y #1 $z$ ^~ <|> " + '"q"'
ESCAPED = (r"a\_b \& 50 \% \{x\} \textbackslash{}y \#1 \$z\$ \textasciicircum{}\textasciitilde{} "
           r"\textless{}\textbar{}\textgreater{} ''q''")


def tables(text):
    """[(specification of the columns, rows of cells)] of each tabular."""
    found = re.findall(r"\\begin\{tabular\}\{(\w+)\}\n(.*?)\\end\{tabular\}", text, re.DOTALL)
    return [(kinds, [re.split(r"(?<!\\) & ", line.removesuffix(r" \\")) for line in body.splitlines()
                     if line.endswith(r" \\")]) for kinds, body in found]


def test_escapes():
    assert latex.escaped(NAME) == ESCAPED
    assert latex.escaped("−1 ≤ d × 2 – ∞†\n") == r"$-$1 $\le$ d $\times$ 2 -- $\infty$$^\dagger$ "


@pytest.fixture(scope="module")
def known_table(known_report):
    return (known_report / "table.tex").read_text()


def test_figures_of_the_main_table(known, known_table):
    ((kinds, rows),) = tables(known_table)
    assert kinds == "llrrrrr"
    head, *body = rows
    assert head == ["group", "layout", "seeds", "loss", r"d $\le$ 16",
                    r"16 \textless{} d $\le$ 96", r"d \textgreater{} 96"]
    assert r"&  &  &  & \multicolumn{3}{c}{exact match} \\\cline{5-7}" in known_table
    assert [row[0] for row in body] == ["full", "ratio-3", "local", "leaking", "untrained", "halting",
                                        "chance"]
    for row in body[:-1]:
        arms = [arm for arm in known["arms"] if arm["group"] == row[0] and arm["state"] == "finished"]
        assert row[1:3] == [rf"\texttt{{{arms[0]['layout']}}}", str(len(arms))]
        assert float(row[3].split()[0]) == pytest.approx(
            mean(validation_loss(arm) for arm in arms), abs=0.00051)
        for band, cell in zip(synthetic.ALL, row[4:]):
            assert float(cell.split()[0]) == pytest.approx(
                100 * mean(share(arm, band) for arm in arms), abs=0.051)
            unclear = row[0] in ("untrained", "halting") or (row[0], band) == ("local", "beyond")
            assert (r"$^\dagger$" in cell) == unclear, (row[0], band)
            assert (r"{\scriptsize [" in cell) == (row[0] != "halting")
    assert body[-1][4:] == [r"3.1 \%"] * 3


def test_every_sign_of_a_name_is_escaped(read):
    """Braces match, and no sign that LaTeX takes for a command is left."""
    results = synthetic.study([
        synthetic.arm(NAME, seed, "GL", synthetic.ALL, probes=[{"task": "copying"}, {}])
        for seed in (1, 2, 3)], name=NAME)
    text = latex.text(contents.report(read(results)).paper_tables)
    assert len(tables(text)) == 2 and text.count(ESCAPED) == 4
    for line in text.splitlines():
        plain = re.sub(r"\\[\\{}&%#$_]", "", line)
        assert plain.count("{") == plain.count("}") and "%" not in plain and "#" not in plain
        assert plain.count("$") % 2 == 0 and text.isascii()


@pytest.mark.parametrize("name", ["[0, 1]", "*"])
def test_no_name_is_taken_for_an_argument_of_the_row_before(read, name):
    results = synthetic.study([synthetic.arm(name, 1, "GL", None)])
    text = latex.text(contents.report(read(results)).paper_tables)
    assert f"\n{{}}{name} & " in text


def test_a_study_without_recall_has_a_table_of_losses(read):
    results = synthetic.study([synthetic.arm("a", seed, "GL", None) for seed in (1, 2, 3)])
    ((kinds, rows),) = tables(latex.text(contents.report(read(results)).paper_tables))
    assert kinds == "llrr" and [row[0] for row in rows] == ["group", "a"]
