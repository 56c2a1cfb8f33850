"""`ablation_advice.py`: which layout a ladder speaks for."""

import json

import numpy as np
import pytest
import synthetic
import synthetic_ladder
from conftest import run

from ablation_report import ladder_advice

CONTEXT = 1024
CACHES = {"full": 1, "half": 0.5, "twin": 0.25}  # of full's


def question(**others):
    costs = [{"layout": layout, "size": size, "parameters": parameters,
              "training_flops_per_token": 1.5 * synthetic_ladder.flops_per_token(layout, parameters),
              "key_value_cache_bytes": int(1000 * parameters**0.5 * CACHES[layout])}
             for layout in synthetic_ladder.LAYOUTS for size, parameters in synthetic_ladder.SIZES.items()]
    return {"context": CONTEXT, "flops": 2e13, "cache": None, "costs": costs, **others}


@pytest.fixture
def answer(read, tmp_path):
    """{layout: Row} for a synthetic ladder and a question; the order of rows is that of the answer."""
    def ask(results, **others):
        path = tmp_path / "question.json"
        path.write_text(json.dumps(question(**others)))
        rows = ladder_advice.answer(read(results), ladder_advice.read_question(path)).rows
        return {row.layout: row for row in rows}
    return ask


@pytest.fixture(scope="module")
def results():
    return synthetic_ladder.study(seeds=2, noise=0.001)


def with_recall(results, reaches, seeds=3):
    """The results with a probe in which each layout recalls facts up to some distance and guesses farther back."""
    results = json.loads(json.dumps(results))
    for arm in results["arms"]:
        random = np.random.default_rng(arm["seed"])
        probe = synthetic.probe(random, synthetic.ALL, items=40)
        far = np.array(probe["distance"]) > reaches[arm["ladder"]["layout"]]
        guess = random.random(len(far)) < synthetic.CHANCE
        probe["exact"] = np.where(far, guess, 1).astype(int).tolist()
        arm["recall"] = {"text": None, "probes": [probe]}
    return results


def test_the_optimum_is_that_of_the_true_law(answer, results):
    rows = answer(results)
    assert list(rows)[0] == "half"
    for layout, row in rows.items():
        # Tokens cost half as much again at the context.
        assert row.loss[0] == pytest.approx(synthetic_ladder.best_at(layout, 2e13 / 1.5), rel=2e-3)
        assert row.loss[1] <= row.loss[0] <= row.loss[2]
        assert row.tokens * row.parameters * 6 < 2e13
        assert row.fits is None and row.effective_context is None and row.effective_context_note == "not measured"
    assert sum(row.probability_best for row in rows.values()) == pytest.approx(1)
    assert rows["half"].probability_best > 0.9
    assert rows["half"].on_front and rows["twin"].on_front and not rows["full"].on_front, "twin needs the least cache"


def test_a_layout_that_does_not_fit_is_out_and_comes_last(answer, results):
    caches = {layout: row.key_value_cache_bytes for layout, row in answer(results).items()}
    rows = answer(results, cache=round((caches["twin"] + caches["half"]) / 2))
    assert [(layout, row.fits) for layout, row in rows.items()] == [("twin", True), ("half", False), ("full", False)]
    assert rows["half"].probability_best is None and rows["twin"].probability_best == 1
    assert rows["twin"].on_front and not rows["half"].on_front
    nothing = answer(results, cache=1)
    assert all(row.probability_best is None and not row.on_front for row in nothing.values())


def test_what_lies_beyond_the_ladder_is_marked(answer, results):
    assert "FLOPs" not in answer(results)["half"].extrapolated and "context" in answer(results)["half"].extrapolated
    assert answer(results, context=256)["half"].extrapolated.count("context") == 0
    assert set(answer(results, flops=1e17)["full"].extrapolated) == {"parameters", "tokens", "FLOPs", "context"}


def test_the_effective_context_is_where_recall_ends(answer):
    results = synthetic_ladder.study(seeds=3, noise=0.001)
    rows = answer(with_recall(results, {"full": 1000, "half": 1000, "twin": 40}))
    assert rows["full"].effective_context == rows["half"].effective_context > 200
    assert 10 <= rows["twin"].effective_context <= 60
    rows = answer(with_recall(results, {"full": 1000, "half": 1000, "twin": 0}))
    assert rows["twin"].effective_context == 0 and rows["twin"].effective_context_note == ""


def test_two_seeds_do_not_test_an_effective_context(answer, results):
    rows = answer(with_recall(results, dict.fromkeys(synthetic_ladder.LAYOUTS, 1000)))
    assert {row.effective_context_note for row in rows.values()} == {"not tested: 2 seeds"}


def test_the_script_prints_a_table_or_json_and_refuses_too_little(results, tmp_path):
    paths = tmp_path / "results.json", tmp_path / "question.json"
    for path, content in zip(paths, (results, question(cache=10**6))):
        path.write_text(json.dumps(content))
    out, _ = run("ablation_advice.py", *paths)
    assert "For 1,024 tokens of context and 20.0 TFLOP of training, a cache of at most 977 KiB:" in out
    assert "P(best)" in out and "extrapolated" in out and "not measured" in out
    content = json.loads(run("ablation_advice.py", *paths, "--json")[0])
    assert content["context"] == CONTEXT and {row["layout"] for row in content["layouts"]} == set(synthetic_ladder.LAYOUTS)
    paths[0].write_text(json.dumps(synthetic_ladder.study(seeds=1, sizes=("s",))))
    assert "the law of the ladder cannot be fitted: it takes two sizes" in run("ablation_advice.py", *paths, status=2)[1]
    paths[0].write_text(json.dumps(synthetic.known_study()))
    assert "has no ladder" in run("ablation_advice.py", *paths, status=2)[1]
