"""The written report of a study whose truth is known."""

import hashlib
import html.parser
import json
import math
import re
import statistics
import xml.etree.ElementTree as ElementTree

import pytest
import synthetic
from conftest import run

from ablation_report import contents, markdown

VOID = {"meta", "br", "wbr", "hr", "img", "link", "input"}
NUMBER = r"[+\N{MINUS SIGN}-]?\d[\d,.]*"


def finished(results, group):
    return [arm for arm in results["arms"] if arm["group"] == group and arm["state"] == "finished"]


def share(arm, band):
    """Right answers of all answers in a band of the first probe."""
    probe = arm["recall"]["probes"][0]
    right = [exact for distance, exact in zip(probe["distance"], probe["exact"])
             if synthetic.band(distance) == band]
    return sum(right) / len(right)


def validation_loss(arm):
    """Of 12 evaluations, the last three count."""
    return mean(point["loss"] for point in arm["validation_curve"][-3:])


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def numbers(cell):
    """The mean and the interval of a cell such as "90.1 % [87.2, 93.0] (chance 3.1 %)"."""
    found = re.match(rf"({NUMBER})(?: %)?(?: \\\[({NUMBER}), ({NUMBER})\\\])?", cell)
    return [None if text is None else float(text.replace("\N{MINUS SIGN}", "-").replace(",", ""))
            for text in found.groups()]


def table(folder, title):
    """Rows of a table of the Markdown by their first cell: {heading: cell}."""
    text = (folder / "report.md").read_text()
    lines = iter(text[text.index(f"### {title}\n"):].splitlines()[2:])
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    heads, _, *body = rows
    assert all(len(row) == len(heads) for row in body)
    return {row[0]: dict(zip(heads, row)) for row in body}


BAND_HEAD = r"associative\_recall, length 256: exact match, "


def test_means_in_the_markdown(known, known_report):
    rows = table(known_report, "What the groups learn")
    assert list(rows) == ["full", "ratio-3", "local", "leaking", "untrained", "halting", "lost"]
    for group, row in rows.items():
        arms = finished(known, group)
        if not arms:
            assert group == "lost" and row["validation loss"] == "–"
            continue
        loss = mean(validation_loss(arm) for arm in arms)
        assert numbers(row["validation loss"])[0] == pytest.approx(loss, abs=0.00051)
        for band in synthetic.ALL:
            expected = 100 * mean(share(arm, band) for arm in arms)
            assert numbers(row[BAND_HEAD + band])[0] == pytest.approx(expected, abs=0.051)


def test_intervals_of_known_truth(known_report):
    rows = table(known_report, "What the groups learn")
    truth = {"full": synthetic.ALL, "ratio-3": synthetic.ALL, "local": synthetic.RELAYED,
             "leaking": synthetic.ALL, "untrained": synthetic.GUESSING, "halting": synthetic.ALL}
    covered = []
    for group, rates in truth.items():
        for band, rate in rates.items():
            middle, low, high = numbers(rows[group][BAND_HEAD + band])
            if group == "halting":  # two seeds
                assert low is None and high is None
                continue
            assert low <= middle <= high
            covered.append(low <= 100 * rate <= high)
    assert len(covered) == 15 and sum(covered) >= 13


def test_interval_of_three_validation_losses(known, known_report):
    row = table(known_report, "What the groups learn")["full"]
    losses = [validation_loss(arm) for arm in finished(known, "full")]
    half = 4.3027 * statistics.stdev(losses) / math.sqrt(3)  # t of 2 degrees of freedom
    middle = mean(losses)
    assert numbers(row["validation loss"]) == pytest.approx([middle, middle - half, middle + half],
                                                            abs=0.00051)
    last = [[point["loss"] for point in arm["validation_curve"][-3:]]
            for arm in finished(known, "full")]
    noise = math.sqrt(mean(statistics.variance(losses) for losses in last))
    assert row["noise of one evaluation"] == f"{noise:.4f} (mean of 3)"


def test_losses_of_classes_and_contexts(known, known_report):
    rows = table(known_report, "Loss by class of token")
    contexts = table(known_report, "Loss with full and with cut context")
    for group in ("full", "local", "halting"):
        texts = [arm["recall"]["text"] for arm in finished(known, group)]
        for kind in ("control", "relay", "beyond", "rest"):
            of_kind = [next(row for row in text["bigrams"] if row["class"] == kind)
                       for text in texts]
            expected = mean(sum(row["nats"]) / sum(row["tokens"]) for row in of_kind)
            assert numbers(rows[group][kind])[0] == pytest.approx(expected, abs=0.00051)
        expected = mean(mean(full - cut for full, cut in zip(text["context"]["full"],
                                                             text["context"]["cut"]))
                        for text in texts)
        middle, low, high = numbers(contexts[group]["full minus cut"])
        assert middle == pytest.approx(expected, abs=0.00051)
        assert low is None if group == "halting" else low < middle < high


def test_costs(known, known_report):
    row = table(known_report, "What the groups cost")["halting"]
    assert (row["layout"], row["window"], row["parameters"]) == ("GLLLLL", "16", "1.23 M")
    assert row["training FLOPs"] == "1.05 T"
    # Arms that ran side by side measure how busy the machine was, not how fast a layout is.
    assert not any("tokens/s" in name for name in row)
    arm = finished(known, "halting")[0]
    assert row["KV cache at, 4K"] == f"{arm['key_value_cache_bytes']['4096'] / 2**20:.2f} MiB"
    assert table(known_report, "What the groups cost")["full"]["window"] == "–"


def test_summary(known_report):
    text = (known_report / "report.md").read_text()
    summary = text[text.index("## Summary"):text.index("## Groups")].replace("\\", "")
    assert ("**LEAK.** Local layers only, and yet above chance beyond their reach: leaking, which cannot "
            "see farther back than 96 tokens, in associative_recall at length 256. ") in summary
    assert summary.count("**LEAK.**") == summary.count("**Left out.**") == 1
    assert re.findall(r"\*\*Control\.\*\* (\S+), associative_recall at length 256: not learnt on average: "
                      "nothing can be concluded from the other bands", summary) == ["untrained"]
    assert "halting: seed 3 failed (the loss is not finite). 2 of 3 seeds remain." in summary
    assert "lost: seed 1 is unfinished. No seed remains" in summary
    assert "17 of 19 arms finished, in 7 groups." in summary
    assert "Lowest mean validation loss: full, 3.0" in summary
    assert ("beyond (d > 96): full, ratio-3 and leaking. Not judged beyond the control: untrained. "
            "Not tested: halting." in summary)
    assert "relay (16 < d ≤ 96): full, ratio-3, local and leaking;" in summary


def test_failed_arms_are_shown_with_their_reason(known_report):
    rows = table(known_report, "What the groups learn")
    assert rows["halting"]["seeds"] == "2 of 3" and rows["lost"]["seeds"] == "0 of 1"
    text = (known_report / "report.md").read_text()
    assert "| failed: the loss is not finite | 17 of 600 |" in text
    assert "| unfinished | 17 of 600 |" in text


def test_chance_stands_beside_every_figure_of_a_probe(known_report):
    for title in ("What the groups learn", r"associative\_recall at length 256 (chance 3.1 %)"):
        cells = [cell for row in table(known_report, title).values() for head, cell in row.items()
                 if "exact match" in head and cell != "–"]
        assert len(cells) == 18
        assert all("chance 3.1 %" in cell for cell in cells)


def test_how_intervals_were_made_is_said(known_report):
    text = (known_report / "report.md").read_text()
    assert "t intervals over seeds" in text and "seeds and items are crossed" in text
    assert "Holm's adjustment is over the 8 tests of the report" in text
    assert "bootstrap" not in text and "apart" not in text


def fingerprints(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_results_give_the_same_bytes(known, known_report, tmp_path):
    (tmp_path / "other.json").write_text(json.dumps(known, indent=3))
    run("ablation_report", "other.json", "--output", "again", cwd=tmp_path,
        env={"PYTHONHASHSEED": "7", "PATH": "", "TZ": "Asia/Tokyo", "SOURCE_DATE_EPOCH": "9",
             "OPENBLAS_NUM_THREADS": "1"})
    assert fingerprints(tmp_path / "again") == fingerprints(known_report)
    assert set(fingerprints(known_report)) == {
        "index.html", "report.md", "results.csv", "table.tex", "plots/loss_by_flops.svg",
        "plots/loss_by_position.svg", "plots/loss_by_length.svg",
        "plots/recall_associative_recall_256.svg", "plots/bigram_loss.svg",
        "plots/context_difference.svg", "plots/frontier.svg", "plots/cost_by_length.svg",
        "plots/cost_predicted.svg", *(
            f"figures/{name}_by_share.{kind}" for kind in ("svg", "pdf") for name in (
                "loss", *(f"recall_associative_recall_256_{band}" for band in synthetic.ALL)))}


class Page(html.parser.HTMLParser):
    """Checks that elements are closed in order, and collects what the tests ask about."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.attributes = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(set(names)) == len(names), (tag, names)
        self.tags.append(tag)
        self.attributes.extend((tag, name, value) for name, value in attributes)
        self.ids.extend(value for name, value in attributes if name == "id")

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag


def check_page(text):
    """A well-formed page of one file; returns it parsed."""
    assert text.startswith("<!DOCTYPE html>")
    page = Page(text)
    assert len(set(page.ids)) == len(page.ids)
    targets = [value for _, name, value in page.attributes if name == "href"]
    targets += [f"#{target}" for target in re.findall(r"url\(#([^)]*)\)", text)]
    files = [target for target in targets if target[0] != "#"]  # links, which the page does without
    assert all(re.fullmatch(r"table\.tex|results\.csv|figures/\w+\.(svg|pdf)", file) for file in files)
    assert targets and all(target[1:] in page.ids for target in targets if target not in files)
    assert not {"script", "link", "img", "iframe", "object", "image"} & set(page.tags)
    assert not any(name in ("src", "srcset", "data", "background") or name.startswith("on")
                   for _, name, _ in page.attributes)
    assert "http" not in text and "@import" not in text
    assert "url(" not in text.replace("url(#", "")
    return page


def test_the_page_needs_nothing_else(known_report):
    page = check_page((known_report / "index.html").read_text())
    assert page.tags.count("figure") == 9 + 4
    assert "@media print" in (known_report / "index.html").read_text()


def test_layouts_are_drawn_as_stripes(known_report):
    text = (known_report / "index.html").read_text()
    drawn = re.findall(r'aria-label="6 layers: GLLGLL">(.*?)</svg>', text)
    assert len(drawn) == 2
    for paths in drawn:
        by_color = dict(re.findall(r'fill="(#\w+)" d="([^"]*)"', paths))
        starts = {color: [float(x) for x in re.findall(r"M([\d.]+)", path)]
                  for color, path in by_color.items()}
        assert starts == {"#222222": [0, 30], "#d9d9d9": [10, 20, 40, 50]}


def test_plots_are_files_of_their_own(known_report):
    text = (known_report / "report.md").read_text()
    named = re.findall(r"\]\((plots/[\w.]+)\)", text)
    assert sorted(named) == sorted(name for name in fingerprints(known_report)
                                   if name.startswith("plots/"))
    for name in named:
        svg = (known_report / name).read_text()
        ElementTree.fromstring(svg)
        assert re.findall(r"http[^\"]*", svg) == ["http://www.w3.org/2000/svg"]
        assert "<text" in svg and "DejaVu" not in svg and "sans-serif" in svg


def test_a_group_has_one_color_everywhere(known_report):
    text = (known_report / "index.html").read_text()
    marked = {}
    for color, name in re.findall(r'<span class="group"><svg.*?stroke="(#\w+)".*?</svg>'
                                  r"<span>(.*?)</span>", text):
        marked.setdefault(name.replace("<wbr>", ""), set()).add(color.lower())
    assert all(len(colors) == 1 for colors in marked.values()) and len(marked) == 7
    for name in ("loss_by_flops", "recall_associative_recall_256", "frontier", "bigram_loss"):
        svg = (known_report / f"plots/{name}.svg").read_text()
        for group in ("full", "ratio-3", "local", "halting"):
            assert next(iter(marked[group])) in svg.lower(), (name, group)


def test_tables_hold_no_nan(known_report):
    for name in ("index.html", "report.md", "results.csv"):
        assert not re.search(r"\b(nan|inf|None)\b", (known_report / name).read_text())


def test_the_shares_of_each_source_of_training_data_are_told(read):
    results = synthetic.known_study()
    for share, arm in zip((0.5, 0.6), results["arms"]):
        arm["sources"] = [
            {"name": "text", "samples_share": 0.25, "targets_share": 0.9, "loss_share": 1 - share},
            {"name": "probes-64", "samples_share": 0.75, "targets_share": 0.1, "loss_share": share}]
    text = markdown.text(contents.report(read(results)))
    assert "probes-64 in training: 75.0 % of the samples, 10.0 % of the targets, 55.0 % of the loss" in text
