"""The figures against the share of global layers and against the window, and their files."""

import fractions
import re
import xml.etree.ElementTree as ElementTree

import matplotlib
import pytest
import synthetic

from ablation_report import contents, findings, layout_figures, layout_section, layouts, measures


def arms(group, layout, window=16, loss=3.0, settings=None, seeds=(1, 2, 3)):
    return [{**synthetic.arm(group, seed, layout, synthetic.ALL, loss, window, probes=[{"items": 30}]),
             "settings": settings or {}} for seed in seeds]


def figures(read, arms_of_study):
    """{name: document.Figure}"""
    return {figure.name: figure for figure in
            contents.report(read(synthetic.study(arms_of_study))).figures()}


@pytest.fixture
def losses(read):
    """Draws the loss figure of some arms; returns its axes and the places of the groups."""
    def draw_losses(arms_of_study, draw):
        groups = measures.of_study(read(synthetic.study(arms_of_study)))
        places = layouts.places(groups)
        quantity = next(layout_section._quantities(groups, {}, None))
        with matplotlib.rc_context({"figure.constrained_layout.use": True}):
            figure = draw(places, quantity)
        return figure.axes[0] if figure else None, {place.group.name: place for place in places}, figure
    return draw_losses


@pytest.mark.parametrize("letters, placement", [
    ("GGGG", None), ("LL", None), ("GLLLGLLL", layouts.FIRST), ("GLLLG", layouts.FIRST),
    ("LGLG", layouts.LAST), ("LLLG", layouts.LAST), ("LGLL" * 2, layouts.INSIDE), ("GGGL", layouts.FIRST),
    ("GGLL", "GGLL"), ("GLLG" * 2, "GLLGGLLG")])
def test_placements(letters, placement):
    assert layouts.placement(letters) == placement


def line(axes, color=None):
    """Points of the lines that join groups, sorted lists of (x, y)."""
    return [list(zip(each.get_xdata(), each.get_ydata())) for each in axes.lines
            if each.get_linestyle() == "-" and len(each.get_xdata()) > 1
            and (color is None or each.get_color() == color)]


def test_loss_against_the_share(losses):
    axes, places, _ = losses([*arms("full", "GGGG", loss=3.0), *arms("first", "GLLL", loss=3.2),
                              *arms("last", "LLLG", loss=3.1), *arms("half", "LGLG", loss=3.05),
                              *arms("local", "LLLL", loss=3.4)], layout_figures.against_share)
    assert places["last"].share == fractions.Fraction(1, 4)
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "0\nall local", "1/4", "1/2", "1\nall global"]
    assert axes.get_xlabel() == "share of global layers"
    assert axes.get_ylabel() == "validation loss (nats per token)"
    mean = {name: place.group.validation_loss.mean for name, place in places.items()}
    first, last = line(axes)
    assert [y for _, y in first] == [mean["local"], mean["first"], mean["full"]]
    assert [y for _, y in last] == [mean["local"], mean["last"], mean["half"], mean["full"]]
    # Side by side around the tick of their share; alone on it.
    assert first[1][0] < 1 < last[1][0] and (first[1][0] + last[1][0]) / 2 == pytest.approx(1)
    assert [x for x, _ in last][::2] == [0, 2]
    bars = [bar.get_segments()[0] for bar in axes.collections]
    losses_of = places["half"].group.validation_loss
    assert any(bar[:, 1].tolist() == [losses_of.low, losses_of.high] for bar in bars)


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_legend_names_placements_windows_and_the_interval(losses):
    _, _, figure = losses([*arms("full", "GGGG"), *arms("a", "GLLL", 4), *arms("b", "GLLL", 16),
                           *arms("c", "LLGG", 16)], layout_figures.against_share)
    assert legend(figure) == ["W = 4", "W = 16", layouts.FIRST, "LLGG", "95 % t interval over seeds"]
    _, _, figure = losses([*arms("full", "GGGG", seeds=(1, 2)), *arms("a", "GLLL", seeds=(1, 2))],
                          layout_figures.against_share)
    assert legend(figure) == [layouts.FIRST]  # two seeds: no interval


def test_loss_against_the_window(losses):
    axes, places, figure = losses([
        *arms("full", "GGGG"), *arms("a", "GLGL", 4, 3.3), *arms("b", "GLGL", 16, 3.2),
        *arms("c", "LLLL", 16, 3.5)], layout_figures.against_window)
    mean = {name: place.group.validation_loss.mean for name, place in places.items()}
    assert [(4, mean["a"]), (16, mean["b"])] in line(axes)
    assert [(0, mean["full"]), (1, mean["full"])] in line(axes)  # across the whole width
    assert legend(figure) == ["GGGG", "GLGL", "LLLL", "95 % t interval over seeds"]
    assert axes.get_xlabel() == "window W of local layers (tokens)"


def test_other_settings_tell_groups_apart(read):
    groups = [*arms("full-a", "GGGG", settings={"optimizer.lr": "0.1", "run.seed": "1"}),
              *arms("full-b", "GGGG", settings={"optimizer.lr": "0.2", "run.seed": "1"}),
              *arms("mix-a", "GLLL", settings={"optimizer.lr": "0.1", "model.layer_group_size": "4"})]
    places = layouts.places(measures.of_study(read(synthetic.study(groups))))
    assert [place.series.name for place in places] == ["lr = 0.1", "lr = 0.2", "lr = 0.1"]
    # Layouts that differ need no other name, whatever else differs with them.
    places = layouts.places(measures.of_study(read(synthetic.study(groups[3:]))))
    assert {place.series.name for place in places} == {""}
    deep = [*arms("a", "GLLL"), *arms("b", "GLLLGLLL")]
    places = layouts.places(measures.of_study(read(synthetic.study(deep))))
    assert [place.series.name for place in places] == ["4 layers", "8 layers"]


def test_studies_of_one_share_or_one_window_have_no_such_figure(read):
    assert set(figures(read, [*arms("a", "GLGL", 4), *arms("b", "LGLG", 4)])) == set()
    names = set(figures(read, [*arms("a", "GLGL", 4), *arms("b", "GLGL", 8)]))
    assert names == {"loss_by_window", *(f"recall_associative_recall_256_{band}_by_window"
                                         for band in synthetic.ALL)}
    one = [*arms("a", "GLGL"), *arms("b", "LLLL")]
    for arm in one:
        arm["validation_curve"] = []
        arm["recall"]["probes"] = []
    assert set(figures(read, one)) == set()


def test_files_have_outlines_and_embedded_fonts_and_no_date(known_report):
    names = sorted(path.name for path in (known_report / "figures").iterdir())
    assert len(names) == 8
    for name in names:
        content = (known_report / "figures" / name).read_bytes()
        if name.endswith(".svg"):
            root = ElementTree.fromstring(content)
            tags = {element.tag.rpartition("}")[2] for element in root.iter()}
            assert "text" not in tags and "path" in tags and b"<dc:date" not in content
        else:
            assert b"/FontFile2" in content and b"CreationDate" not in content
            assert not re.search(rb"/Subtype /Type3|/BaseFont /Helvetica", content)


def test_the_page_shows_and_links_them(known_report):
    page = (known_report / "index.html").read_text()
    text = (known_report / "report.md").read_text()
    for path in (known_report / "figures").iterdir():
        assert f'href="figures/{path.name}"' in page and f"(figures/{path.name})" in text
    for name in ("table.tex", "results.csv"):
        assert f'href="{name}"' in page and f"[{name}]({name})" in text
    assert 'aria-label="Validation loss against share of global layers"' in page


def test_recall_figures_name_band_task_and_floor(read):
    a_study = read(synthetic.study([*arms("full", "GGGG"), *arms("local", "LLLL")]))
    groups = measures.of_study(a_study)
    *_, beyond = layout_section._quantities(groups, findings.reference_probes(a_study), a_study.bands)
    assert beyond.label == "exact match, d > 96\n(associative_recall, length 256)"
    assert beyond.file == "recall_associative_recall_256_beyond" and beyond.is_share
    assert beyond.of(groups[0]) is groups[0].probes[a_study.probe_keys[0]].bands["beyond"].exact
    assert beyond.interval == "95 % interval over seeds and items"
