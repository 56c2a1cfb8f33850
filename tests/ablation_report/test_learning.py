"""How soon recall is learnt: times, what is censored, and what the report says of them."""

import math
import statistics

import numpy as np
import pytest
import synthetic

from ablation_report import contents, learning, markdown, measures

FLOORS = {"newest": {"control": 0.5, "relay": 0.1, "beyond": 0.05},
          "odd count": {"control": 0.2, "relay": 0.3, "beyond": 0.2}}
UNLEARNT = {"control": 0.3, "relay": 0.1, "beyond": 0.05}
STEPS = (50, 100, 150, 200, 250, 300)
TOKENS = 1228800 / 300  # of a step


def arms(group, layout, learnt_at):
    """One arm for each seed, which knows nothing before a step and all from it on; None: never."""
    return [synthetic.learning(
        synthetic.arm(group, seed, layout, None),
        {step: synthetic.ALL if learnt and step >= learnt else UNLEARNT for step in STEPS},
        floors=FLOORS, items=40) for seed, learnt in enumerate(learnt_at, 1)]


def learnt(a_study):
    return learning.of_study(a_study, measures.of_study(a_study))


def table(a_study, title="tokens until recall"):
    """{group: {band: (tokens, ratio)}} of the table as it is written."""
    text = markdown.text(contents.report(a_study)).replace("\\", "")
    lines = text[text.index(title):].splitlines()[4:]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]]
            for line in lines[:next(i for i, line in enumerate(lines) if not line)]]
    return {row[0]: dict(zip(synthetic.ALL, zip(row[1::2], row[2::2]))) for row in rows}


@pytest.fixture
def a_study(read):
    return read(synthetic.study([
        *arms("full", "GGGG", (100, 150, 250)), *arms("half", "GLGL", (50, 100, 100)),
        *arms("most", "LGLG", (150, 200, None)), *arms("few", "GLLL", (300, None, None))]))


def interval_of_logarithms(low, high):
    """The t interval of 3 seeds, from the lower limit of one to the upper limit of the other."""
    def limit(values, sign):
        logarithms = [math.log(value) for value in values]
        return math.exp(statistics.mean(logarithms) +
                        sign * 4.302653 * statistics.stdev(logarithms) / math.sqrt(3))
    return limit(low, -1), limit(high, 1)


def test_times_lie_between_two_checkpoints(a_study):
    (of_probe,) = learnt(a_study).values()
    assert of_probe.groups["half"]["beyond"].times == {
        1: learning.Time(0, 50 * TOKENS), 2: learning.Time(50 * TOKENS, 100 * TOKENS),
        3: learning.Time(50 * TOKENS, 100 * TOKENS)}
    assert of_probe.groups["few"]["beyond"].times[3] == learning.Time(300 * TOKENS, None)


def test_the_goal_is_halfway_from_the_floor(a_study):
    (of_probe,) = learnt(a_study).values()
    probe = a_study.arms[0].probes[0]
    beyond = probe.distance > synthetic.REACH
    floor = max(np.mean(probe.blind[beyond] >> bit & 1) for bit in (0, 1))
    goal = of_probe.goals["beyond"]
    assert goal.floor.strategy == "odd count" and goal.floor.share == pytest.approx(floor)
    assert goal.share == pytest.approx((1 + floor) / 2)


def test_curves_and_their_mean(a_study):
    (of_probe,) = learnt(a_study).values()
    of_band = of_probe.groups["full"]["beyond"]
    for seed, arm in enumerate(a_study.arms[:3], 1):
        probe = arm.probes[0]
        beyond = probe.distance > synthetic.REACH
        expected = [(earlier.step * TOKENS, np.mean(earlier.exact[beyond]))
                    for earlier in probe.earlier]
        expected.append((300 * TOKENS, np.mean(probe.exact[beyond])))
        assert np.array(of_band.curves[seed]) == pytest.approx(np.array(expected))
    tokens, means = zip(*of_band.mean_curve)
    assert tokens == pytest.approx([step * TOKENS for step in STEPS])
    assert means[3] == pytest.approx(np.mean([of_band.curves[seed][3][1] for seed in (1, 2, 3)]))


def test_tokens_where_all_seeds_reached_it(a_study):
    (of_probe,) = learnt(a_study).values()
    times = list(of_probe.groups["full"]["relay"].times.values())
    tokens = learning.until(times)
    steps = (100, 150, 250)
    assert tokens.mean == pytest.approx(math.prod(steps) ** (1 / 3) * TOKENS)
    low, high = interval_of_logarithms((50, 100, 200), steps)
    assert (tokens.low, tokens.high) == pytest.approx((low * TOKENS, high * TOKENS))
    # One seed was there at its first checkpoint: nothing says how long before.
    assert learning.until(of_probe.groups["half"]["relay"].times.values()).low == 0
    assert learning.until(times[:2]).low is None


def test_ratios_are_paired_by_seed(a_study):
    (of_probe,) = learnt(a_study).values()
    times = {group: of_probe.groups[group]["beyond"].times for group in of_probe.groups}
    ratio = learning.ratio(times["full"], times["half"])
    assert ratio.mean == pytest.approx((100 / 50 * 150 / 100 * 250 / 100) ** (1 / 3))
    assert ratio.low == pytest.approx(interval_of_logarithms((50 / 50, 100 / 100, 200 / 100), (1,) * 3)[0])
    assert ratio.high == math.inf
    back = learning.ratio(times["half"], times["full"])
    assert (back.mean, back.low) == (pytest.approx(1 / ratio.mean), 0)
    assert back.high == pytest.approx(1 / ratio.low)
    assert learning.ratio(times["most"], times["full"]) is None
    without = {seed: time for seed, time in times["most"].items() if seed < 3}
    assert learning.ratio(without, times["full"]).low is None  # two common seeds


def test_the_table_tells_censored_seeds(a_study):
    rows = table(a_study)
    low, high = (limit * TOKENS for limit in interval_of_logarithms((50, 100, 200), (100, 150, 250)))
    expected = f"636 k [{low / 1e3:.1f} k, {high / 1e6:.2f} M]"  # 4096 (100 x 150 x 250)^(1/3)
    assert rows["full"]["beyond"] == (expected, "–")
    high = interval_of_logarithms((1,) * 3, (50, 100, 100))[1] * TOKENS
    assert rows["half"]["beyond"][0] == f"325 k [0, {high / 1e3:.0f} k]"
    high = interval_of_logarithms((1,) * 3, (50 / 50, 100 / 100, 100 / 200))[1]
    assert rows["half"]["beyond"][1] == f"0.51× [0×, {high:.1f}×]"
    assert rows["most"]["beyond"] == ("median 819 k (2 of 3 seeds, others > 1.23 M)", "–")
    assert rows["few"]["beyond"] == ("> 1.23 M (1 of 3 seeds)", "–")


def test_what_is_censored_is_not_called_impossible(a_study):
    text = markdown.text(contents.report(a_study)).replace("\\", "")
    assert ("Not reached by the last checkpoint does not mean never: most and few may have needed more "
            "tokens.") in text


@pytest.mark.parametrize("reached, total, middle", [
    ((3, 1), 2, 1), ((3, 1), 3, 3), ((3, 1), 4, 3), ((3, 1), 5, None), ((), 1, None)])
def test_medians_of_kaplan_and_meier(reached, total, middle):
    """The first time at which no more than half of the seeds are left."""
    times = [learning.Time(0, tokens) for tokens in reached]
    times += [learning.Time(9, None)] * (total - len(reached))
    assert learning.median(times) == middle


def test_a_group_that_has_learnt_in_part_is_not_called_unlearnt(read):
    """Of such seeds the mean is not above the floor, but that is not all that is known."""
    text = markdown.text(contents.report(read(synthetic.study([
        *arms("full", "GGGG", (100, 150, 250)), *arms("part", "LGLG", (150, 300, None)),
        *arms("none", "GLLL", (None, None, None))])))).replace("\\", "")
    assert "Not learnt is associative_recall at length 256 by none." in text
    assert "part has learnt associative_recall at length 256 in 2 of 3 seeds, too few" in text
    assert "where one of more than 100 percentage points could have been seen" in text


def test_a_goal_that_luck_reaches_is_none(read):
    """Five answers beyond, floor 0.6: four or five of them are right by luck in a third of cases."""
    arm = synthetic.learning(synthetic.arm("a", 1, "GL", None), dict.fromkeys((50, 100), synthetic.ALL))
    (probe,) = arm["recall"]["probes"]
    del probe["earlier"]
    probe.update(item=[0, 1, 2, 3, 4], distance=[200] * 5, log_likelihood=[-1.0] * 5, exact=[1] * 5,
                 strategies=["newest"], blind=[1, 1, 1, 0, 0],
                 earlier=[{"step": 50, "exact": [1] * 5}])
    a_study = read(synthetic.study([arm]))
    (of_probe,) = learnt(a_study).values()
    assert of_probe.goals.keys() == {"beyond"} and of_probe.goals["beyond"].share is None
    assert "tokens until recall" not in markdown.text(contents.report(a_study))


def test_intervals_cover_the_truth():
    """Times are drawn around a known mean of logarithms and seen at every 100th token only: where
    checkpoints lie closer than seeds, and where one step of theirs holds nearly all seeds."""
    random = np.random.default_rng(5)
    for seeds in (3, 5, 8):
        for deviation in (0.02, 0.1, 0.5):
            covered = 0
            for _ in range(400):
                middle = random.uniform(500, 1500)
                seen = np.ceil(np.exp(random.normal(math.log(middle), deviation, seeds)) / 100) * 100
                tokens = learning.until([learning.Time(each - 100, each) for each in seen])
                covered += tokens.low <= middle <= tokens.high
            assert covered / 400 > 0.93, (seeds, deviation, covered)


def test_studies_without_earlier_checkpoints_say_nothing_of_it(known_report):
    text = (known_report / "report.md").read_text()
    assert "Speed of learning" not in text and "checkpoint" not in text
