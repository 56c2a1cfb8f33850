"""Loss on the tokens that a long context helps the reference."""

import pytest
import synthetic

from ablation_report import contents, contrasts, findings, key_tokens, markdown, measures


def arms(group, layout, full, cut, seeds=(1, 2, 3)):
    """Arms whose losses of the same tokens are `full` and `cut`; either may be a function of the seed."""
    result = []
    for seed in seeds:
        arm = synthetic.arm(group, seed, layout, synthetic.ALL)
        losses = [values(seed) if callable(values) else values for values in (full, cut)]
        arm["recall"]["text"]["long_context"] = {"full": losses[0], "cut": losses[1], "kept": 32}
        result.append(arm)
    return result


def groups_of(a_study):
    return {group.name: group for group in a_study.groups}


def test_key_tokens_are_those_of_the_reference_for_all_groups(read):
    # The reference gains on tokens 0 and 2; the other group would on 1.
    a_study = read(synthetic.study([*arms("full", "GG", [1.0, 2.0, 3.0, 4.0], [2.5, 2.5, 4.0, 4.5]),
                                    *arms("local", "LL", [2.0, 1.0, 5.0, 1.0], [2.0, 9.0, 5.0, 1.0])]))
    chosen = key_tokens.chosen_by(groups_of(a_study)["full"])
    assert all(keys.tolist() == [True, False, True, False] for keys in chosen.values())
    assert key_tokens.figure(groups_of(a_study)["full"], chosen).mean == 2.0
    assert key_tokens.figure(groups_of(a_study)["local"], chosen).mean == 3.5
    assert key_tokens.share(chosen) == 0.5
    measured = measures.of_study(a_study)
    compared = contrasts.of_study(a_study, measured, findings.reference_probes(a_study).values())
    assert compared.of_groups["local"].key_tokens.mean == pytest.approx(1.5)
    text = markdown.text(contents.report(a_study))
    assert "Loss on tokens that a long context helps" in text and "the last 32 tokens" in text


def test_no_run_chooses_its_own_key_tokens(read):
    # Token 0 helps seed 1 alone, by luck: too little for the others together, so seed 1 is not judged on it.
    lucky = arms("full", "GG", lambda seed: [0.5 if seed == 1 else 3.0, 1.0], lambda seed: [3.1, 4.0])
    chosen = key_tokens.chosen_by(groups_of(read(synthetic.study(lucky)))["full"])
    assert chosen[1].tolist() == [False, True] and chosen[2].tolist() == [True, True]
    assert chosen[None].tolist() == [False, True]  # (2.6 + 0.1 + 0.1) / 3


def test_what_is_not_known_is_left_out(read):
    one = arms("full", "GG", [1.0, 1.0], [9.0, 9.0], seeds=(1,))
    other = arms("local", "LL", [2.0, None], [2.0, 2.0], seeds=(1, 2))
    groups = groups_of(read(synthetic.study([*one, *other])))
    chosen = key_tokens.chosen_by(groups["full"])
    assert chosen[1] is None and chosen[None].tolist() == [True, True]
    assert key_tokens.figure(groups["full"], chosen) is None  # no other run that could choose
    figure = key_tokens.figure(groups["local"], chosen)
    assert (figure.mean, figure.seeds, figure.items) == (2.0, 1, 1)
    nothing = groups_of(read(synthetic.study([synthetic.arm("a", 1, "GG", synthetic.ALL)])))["a"]
    assert key_tokens.chosen_by(nothing) == {} and key_tokens.share({}) is None
