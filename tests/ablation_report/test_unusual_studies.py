"""Studies that lack something, or have a lot of it."""

import re
import warnings

import pytest
import synthetic
from test_report import check_page

from ablation_report import contents, drawing, markdown, page, quantities, results_csv


def report(read, results):
    """(HTML, Markdown, CSV, names of the plots), with warnings as errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        a_study = read(results)
        document = contents.report(a_study)
        texts = page.text(document), markdown.text(document), results_csv.text(a_study)
    check_page(texts[0])
    assert all("nan" not in text for text in texts)
    return *texts, [plot.name for plot in document.plots()]


def without(results, *path):
    for arm in results["arms"]:
        inner = arm
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = [] if isinstance(inner[path[-1]], list) else None
    return results


def two_groups():
    return synthetic.study([synthetic.arm(group, seed, layout, synthetic.ALL)
                            for seed in (1, 2, 3)
                            for group, layout in (("full", "GGGGGG"), ("mix", "GLLGLL"))])


def test_one_seed(read):
    results = synthetic.study([synthetic.arm("full", 1, "GGGGGG", synthetic.ALL, 3.0),
                               synthetic.arm("mix", 1, "GLLGLL", synthetic.ALL, 3.2)])
    text = report(read, results)[1]
    assert text.count("no interval and no test of full and mix (1 seed: not tested)") == 1
    assert "is not tested in mix." in text and "Only 0 differences from the reference" in text
    assert "(chance 3.1 %, 1 seed: not tested)" in text


def test_one_group(read):
    results = synthetic.study([synthetic.arm("full", seed, "GGGGGG", synthetic.ALL)
                               for seed in (1, 2, 3)])
    text, plots = report(read, results)[1::2]
    assert "Right: difference" not in text and "loss_by_length" in plots


def test_no_recall(read):
    text, plots = report(read, without(two_groups(), "recall"))[1::2]
    assert "No probe of recall was measured." in text
    assert plots == ["loss_by_flops", "frontier"]


def test_no_validation_curve(read):
    text, plots = report(read, without(two_groups(), "validation_curve"))[1::2]
    assert "No validation loss was measured." in text
    assert "### Training loss against training FLOPs" in text and "loss_by_flops" in plots


def test_no_curves_at_all(read):
    plots = report(read, without(without(two_groups(), "validation_curve"), "curve"))[3]
    assert "loss_by_flops" not in plots and "frontier" in plots


def test_no_text(read):
    plots = report(read, without(two_groups(), "recall", "text"))[3]
    assert plots == ["loss_by_flops", "recall_associative_recall_256", "frontier"]


def test_nothing_but_names(read):
    results = {"name": "n", "sequence_length": 8, "bands": {"window": 1, "layers": 1}, "arms": [
        {"name": "a", "group": "g", "seed": 0, "state": "finished"}]}
    assert report(read, results)[3] == []


def test_no_arm_finished(read):
    results = synthetic.study([synthetic.failed("a", 1, "GGGG"), synthetic.failed("b", 1, "GLLL")])
    text = report(read, results)[1]
    assert "0 of 2 arms finished" in text and text.count("No seed remains") == 2


def nulls(value, keep=("chance",)):
    if isinstance(value, dict):
        return {key: None if isinstance(entry, float) and key not in keep else nulls(entry)
                for key, entry in value.items()}
    if isinstance(value, list):
        return [None if isinstance(entry, float) else nulls(entry) for entry in value]
    return value


def test_every_float_null(read):
    text = report(read, nulls(synthetic.known_study()))[1]
    assert "No validation loss was measured." in text
    assert "tokens not finite" not in text  # then there is no figure to remark upon


def test_some_losses_null(read):
    results = two_groups()
    results["arms"][0]["validation_curve"][-1]["loss"] = None
    results["arms"][2]["recall"]["probes"][0]["log_likelihood"][0] = None
    text = report(read, results)[1]
    assert re.search(r"\| 3 of 3 \| 3\.0\d\d \(of 2 seeds\) \|", text)
    assert "(1 token not finite)" in text


def test_a_probe_without_answers(read):
    results = two_groups()
    for arm in results["arms"]:
        for key in ("item", "distance", "log_likelihood", "exact"):
            arm["recall"]["probes"][0][key] = []
    text = report(read, results)[1]
    assert "the control band has no answers" in text and "nothing was measured" in text


def test_without_a_control_what_is_above_chance_counts(read):
    results = two_groups()
    for arm in results["arms"]:
        probe = arm["recall"]["probes"][0]
        beyond = [i for i, distance in enumerate(probe["distance"]) if distance > 16]
        for key in ("item", "distance", "log_likelihood", "exact"):
            probe[key] = [probe[key][i] for i in beyond]
        if arm["group"] == results["arms"][0]["group"]:
            probe["exact"] = [0] * len(beyond)
        else:
            probe["exact"] = [1] * len(beyond)
    text = report(read, results)[1].replace("\\", "")
    assert text.count("**No control.**") == 1
    able, unable = results["arms"][-1]["group"], results["arms"][0]["group"]
    assert f"beyond (d > 96): {able}." in text
    assert f"{unable} and" not in text[text.index("beyond (d > 96):"):][:60]
    assert "no control; above chance: relay and beyond" in text
    assert "no control; above chance: none" in text and "control failed" not in text


@pytest.mark.parametrize("lengths", [(512, 128), (512, 1024)])
def test_the_reference_length_is_one_that_training_has_seen(read, lengths):
    results = two_groups()
    for arm in results["arms"]:
        for probe, length in zip([arm["recall"]["probes"][0]] * 2, lengths):
            arm["recall"]["probes"].append({**probe, "length": length})
        del arm["recall"]["probes"][0]
    text = report(read, results)[1].replace("\\", "")
    assert f"associative_recall, length {min(lengths)}: exact match" in text
    assert f"associative_recall, length {max(lengths)}: exact match" not in text
    assert text.count("beyond the training length: extrapolation") == sum(
        length > synthetic.SEQUENCE_LENGTH for length in lengths)


def test_names_are_text_and_not_markup(read):
    name = "<b>&\"'$x$|`_*[a](b)\\"
    results = synthetic.study([
        synthetic.arm(name, 1, "GL", synthetic.ALL),
        {**synthetic.failed("other", 1, "GL"), "reason": "<script>alert(1)</script>\n| x"}])
    page_text, text, _, _ = report(read, results)
    assert "<b>" not in page_text and "<script" not in page_text
    assert "&lt;script&gt;" in page_text
    assert r"\<b\>" in text and r"\<script\>alert(1)\</script\> \| x" in text


def test_thirty_groups_of_eighty_layers(read):
    names = [f"model.layer_group_size-{index + 1},model.window_size-128" for index in range(30)]
    arms = [synthetic.arm(name, seed, (("G" + "L" * index) * 80)[:80], synthetic.ALL,
                          probes=[{"items": 20}])
            for seed in (1, 2, 3) for index, name in enumerate(names)]
    page_text, text, _, plots = report(read, synthetic.study(arms))
    assert len(plots) == 7
    assert all(page_text.count(f'aria-label="80 layers: {layout}"') == 2
               for layout in ("G × 80", "GLL × 26 + GL", "GLLL × 20"))
    assert "| GLLL × 20 |" in text
    assert "beyond (d > 96): all 30 groups" in text.replace("\\", "")
    assert len(set(drawing.styles(names).values())) == 30


@pytest.mark.parametrize("letters, text", [
    ("", "–"), ("GLGLGL", "GLGLGL"), ("G" * 40 + "L" * 40, "G × 40 + L × 40"),
    ("L" * 24, "L × 24"), ("GLLLL" * 5 + "GL", "GLLLL × 5 + GL")])
def test_layouts_in_letters(letters, text):
    assert quantities.layout(letters) == text
