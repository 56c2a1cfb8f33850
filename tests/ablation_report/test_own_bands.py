"""Answers sorted by each group's own bands, and loss by what is visible."""

import csv
import io

import pytest
import synthetic

from ablation_report import contents, contrasts, findings, markdown, measures, recall, results_csv, study

FLOORS = {"newest": dict.fromkeys(synthetic.RELAYED, 0.1)}


def windows(**bands):
    """Groups of windows 8 and 32, each second of whose six layers is local, and one of global layers only."""
    probes = [{"floors": FLOORS}]
    arms = [synthetic.arm(group, seed, layout, synthetic.ALL, window=window, probes=probes)
            for seed in (1, 2, 3)
            for group, layout, window in (("full", "GGGGGG", None), ("narrow", "GLGLGL", 8), ("wide", "GLGLGL", 32))]
    return synthetic.study(arms, bands={"window": synthetic.WINDOW, "layers": synthetic.LAYERS, **bands})


def of(groups, name):
    (group,) = [group for group in groups if group.name == name]
    (figures,) = group.probes.values()
    return figures


def in_range(a_study, first, last):
    """Answers of one arm, all arms have the same."""
    return sum(int(recall.within(probe, first, last).sum()) for probe in a_study.arms[0].probes)


def test_each_group_has_its_own_bands_and_the_same_answers(read):
    a_study = read(windows(of="own"))
    groups = measures.of_study(a_study)
    assert of(groups, "narrow").limits == study.Bands(8, 3) and of(groups, "wide").limits == study.Bands(32, 3)
    assert of(groups, "full").limits == study.Bands(synthetic.WINDOW, synthetic.LAYERS)
    for name, window in (("narrow", 8), ("wide", 32)):
        units = {band: figures.units for band, figures in of(groups, name).bands.items()}
        assert units == {"control": 3 * in_range(a_study, 0, window), "relay": 3 * in_range(a_study, window + 1, 3 * window),
                         "beyond": 3 * in_range(a_study, 3 * window + 1, 1000)}
    assert of(measures.of_study(read(windows())), "narrow").limits == a_study.bands_of(None, None)


def test_floors_are_of_the_answers_in_the_groups_own_band(read):
    results = windows(of="own")
    for arm in results["arms"]:  # the newest is right up to a distance of 8 only
        for probe in arm["recall"]["probes"]:
            probe["blind"] = [int(distance <= 8) for distance in probe["distance"]]
    groups = measures.of_study(read(results))
    assert of(groups, "narrow").bands["control"].floor.share == 1
    assert of(groups, "narrow").bands["relay"].floor.name == "chance"
    assert 0 < of(groups, "wide").bands["control"].floor.share < 1


def test_differences_are_of_the_same_items_in_the_bands_of_the_group(read):
    a_study = read(windows(of="own"))
    groups = measures.of_study(a_study)
    compared = contrasts.of_study(a_study, groups, findings.reference_probes(a_study).values())
    assert compared.reference == "full"
    full = {arm.seed: arm.probes[0] for arm in a_study.arms if arm.group == "full"}
    for name, reach in (("narrow", 24), ("wide", 96)):
        own = {arm.seed: arm.probes[0] for arm in a_study.arms if arm.group == name}
        rates = {group: sum(recall.hits_by_step(probe, 1, reach + 1, 1000)[1][-1][1] for probe in probes.values())
                 for group, probes in (("own", own), ("full", full))}
        (difference,) = [estimate for (_, band), estimate in compared.of_groups[name].recall.items() if band == "beyond"]
        answers = 3 * in_range(a_study, reach + 1, 1000)
        assert difference.mean == pytest.approx((rates["own"] - rates["full"]) / answers)


def test_the_report_says_whose_bands_it_has(read):
    text = markdown.text(contents.report(read(windows(of="own")))).replace("\\", "")
    assert "W and n W: narrow 8 and 24; wide 32 and 96." in text
    assert "control, d ≤ W" in text and "beyond (d > n W)" in text
    common = markdown.text(contents.report(read(windows()))).replace("\\", "")
    assert "d ≤ W" not in common and f"control, d ≤ {synthetic.WINDOW}" in common
    own, drawn = ({(row["arm"], row["band"]): row["value"] for row in csv.DictReader(io.StringIO(results_csv.text(read(windows(**of)))))
                   if row["quantity"] == "asked"} for of in ({"of": "own"}, {}))
    assert own.keys() == drawn.keys() and own != drawn


def test_loss_is_drawn_by_what_is_visible_where_that_is_known(read):
    results = windows()
    assert "by position in the sequence" in markdown.text(contents.report(read(results)))
    for arm in results["arms"]:
        text = arm["recall"]["text"]
        text["by_visible"] = [{**bucket, "loss": bucket["loss"] + 1} for bucket in text["by_position"][:5]]
    a_study = read(results)
    figures = measures.of_study(a_study)[0].text
    assert len(figures.by_visible) == 5
    assert figures.by_visible[0][1].mean == pytest.approx(figures.by_position[0][1].mean + 1)
    report = markdown.text(contents.report(a_study))
    assert "by what is visible" in report and "by position in the sequence" not in report
