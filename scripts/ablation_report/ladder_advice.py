"""Which layout to take for a context and a budget: the answer of a ladder, as a table and as JSON."""

import dataclasses

import numpy as np

from . import findings, ladder_frontier, ladder_points, ladder_view, measures, quantities, shapes, significance
from .quantities import NONE

NOT_MEASURED, NOT_TESTED = "not measured", "not tested"


@dataclasses.dataclass(frozen=True)
class SizeCost:
    """Of a layout at a size of the ladder, at the context that is asked about."""
    layout: str
    size: str
    parameters: int
    training_flops_per_token: float
    key_value_cache_bytes: int


@dataclasses.dataclass(frozen=True)
class Question:
    context: int
    flops: float
    costs: tuple[SizeCost, ...]
    cache: int | None = None


_QUESTION = shapes.record(
    Question, context=shapes.whole(1), flops=shapes.number, cache=shapes.whole(1),
    costs=shapes.sequence(shapes.record(
        SizeCost, layout=shapes.text, size=shapes.text, parameters=shapes.whole(1),
        training_flops_per_token=shapes.number, key_value_cache_bytes=shapes.whole(0))))


@dataclasses.dataclass(frozen=True)
class Row:
    """Of a layout: the size that suits the budget best, and what it comes to."""
    layout: str
    loss: tuple[float, float, float]  # estimate, low, high
    parameters: float
    tokens: float
    key_value_cache_bytes: float
    fits: bool | None  # None: there is no limit
    effective_context: int | None  # tokens; None: see effective_context_note
    effective_context_note: str
    on_front: bool
    probability_best: float | None  # None: it does not fit
    extrapolated: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Answer:
    question: Question
    rows: tuple[Row, ...]  # those that fit first, the lowest loss first
    notes: tuple[str, ...]


def read_question(path):
    """Raises shapes.InvalidInput."""
    return shapes.read_file(path, _QUESTION)


def effective_contexts(a_study):
    """{layout: (tokens or None, note)}: the largest distance, over all probes, in a bin of distances in which the runs of
    the largest rung are above the floor. Holm's adjustment is over all bins."""
    groups = measures.of_study(ladder_points.largest_rung(a_study))
    tests = {}
    for group in groups:
        for key, figures in group.probes.items():
            for index, (_, of_bin) in enumerate(figures.bins):
                if (p := findings.p_above_floor(of_bin)) is not None:
                    tests[group.name, key, index] = p
    adjusted = dict(zip(tests, significance.holm(list(tests.values()))))
    result = {}
    for group in groups:
        if not group.probes:
            result[group.name] = None, NOT_MEASURED
        elif not any(name == group.name for name, _, _ in tests):
            result[group.name] = None, f"{NOT_TESTED}: {quantities.count(len(group.group.finished), 'seed')}"
        else:
            above = [group.probes[key].bins[index][0].last for (name, key, index), p in adjusted.items()
                     if name == group.name and p < significance.ERROR]
            result[group.name] = max(above, default=0), ""
    return result


def _extrapolated(ladder, question, layout, best, sequence_length):
    words = ladder_frontier.beyond(ladder.points, layout, best.parameters[0], best.tokens[0])
    spent = [point.flops for point in ladder.of_layout(layout)]
    if not 0.99 * min(spent) <= question.flops <= 1.01 * max(spent):
        words.append("FLOPs")
    if question.context > sequence_length:
        words.append("context")
    return tuple(words)


def _on_front(name, values):
    """`values`: {layout: what is better when smaller}"""
    own = values[name]
    return not any(all(a <= b for a, b in zip(other, own)) and other != own for other in values.values())


def answer(a_study, question):
    """Raises shapes.InvalidInput where the ladder's results do not suffice."""
    if not a_study.ladder:
        raise shapes.InvalidInput("the study has no ladder")
    ladder = ladder_view.Ladder(a_study)
    if ladder.lacking:
        raise shapes.InvalidInput(f"the law of the ladder cannot be fitted: {ladder.lacking}")
    curves = {name: {layout: ladder_frontier.curve([(cost.parameters, getattr(cost, name)) for cost in question.costs
                                                    if cost.layout == layout]) for layout in ladder.law.layouts}
              for name in ("training_flops_per_token", "key_value_cache_bytes")}
    optima = {layout: ladder_frontier.optimum(ladder.law, layout, cost, question.flops)
              for layout, cost in curves["training_flops_per_token"].items()}
    caches = {layout: float(np.exp(curves["key_value_cache_bytes"][layout].at(np.log(best.parameters[0]))))
              for layout, best in optima.items()}
    fits = {layout: None if question.cache is None else held <= question.cache for layout, held in caches.items()}
    chances = ladder_frontier.chances(list(optima.values()), {layout for layout in optima if fits[layout] is not False})
    contexts = effective_contexts(a_study)
    known = all(contexts.get(layout, (None, ""))[0] is not None for layout in optima)
    qualities = {layout: (best.losses[0], caches[layout], -contexts[layout][0] if known else 0)
                 for layout, best in optima.items() if fits[layout] is not False}
    rows = [Row(layout, best.loss, float(best.parameters[0]), float(best.tokens[0]), caches[layout], fits[layout],
                *contexts.get(layout, (None, NOT_MEASURED)), layout in qualities and _on_front(layout, qualities),
                chances.get(layout), _extrapolated(ladder, question, layout, best, a_study.sequence_length))
            for layout, best in optima.items()]
    rows.sort(key=lambda row: (row.fits is False, row.loss[0]))
    return Answer(question, tuple(rows), tuple(_notes(ladder, a_study, known)))


def _notes(ladder, a_study, contexts_known):
    yield ("Lowest loss for the budget by the law of the ladder, with 95 % intervals of its bootstrap; a token costs what "
           f"it does at the context. The ladder's runs are of {a_study.sequence_length} tokens, of "
           f"{quantities.si(min(point.parameters for point in ladder.points))} to "
           f"{quantities.si(max(point.parameters for point in ladder.points))} parameters, and of up to "
           f"{quantities.si(max(point.flops for point in ladder.points), 'FLOP')}.")
    yield ("P(best): in how many of the fits to drawn runs the layout has the lowest loss of those that fit the cache. It "
           "knows the noise of runs, not that the law may be another one beyond them.")
    yield ("Front: no other layout that fits has a loss and a cache as low"
           + (" and an effective context as long." if contexts_known else
              ". Effective context is left out of it: not known for all."))
    yield ("Effective context: the largest distance at which recall is above its floor, of the ladder's largest runs and as "
           "far as they were probed.")
    if edge := sum(point.at_edge for point in ladder.points):
        yield (f"Learning rates are not bracketed in {edge} of {len(ladder.points)} points: their losses may not be the "
               "best that the layout can.")
    if ladder.left_out:
        yield f"Too few results to judge: {quantities.listed(ladder.left_out)}."


def json_of(an_answer):
    question = an_answer.question
    return {"context": question.context, "flops": question.flops, "cache": question.cache,
            "layouts": [{
                "layout": row.layout,
                "loss": dict(zip(("estimate", "low", "high"), row.loss)),
                "parameters": round(row.parameters), "tokens": round(row.tokens),
                "key_value_cache_bytes": round(row.key_value_cache_bytes), "fits": row.fits,
                "effective_context": row.effective_context, "effective_context_note": row.effective_context_note,
                "on_front": row.on_front, "probability_best": row.probability_best,
                "extrapolated": list(row.extrapolated)} for row in an_answer.rows],
            "notes": list(an_answer.notes)}


def text(an_answer):
    question = an_answer.question
    limit = "" if question.cache is None else f", a cache of at most {quantities.memory(question.cache)}"
    lines = [["layout", "parameters", "tokens", "loss", "KV cache", *(["fits"] if question.cache else []),
              "effective context", "front", "P(best)", "extrapolated"]]
    for row in an_answer.rows:
        estimate, low, high = map(quantities.loss, row.loss)
        context = row.effective_context_note or (f"{row.effective_context:,}" if row.effective_context else "none")
        lines.append([row.layout, quantities.si(row.parameters), quantities.si(row.tokens), f"{estimate} [{low}, {high}]",
                      quantities.memory(row.key_value_cache_bytes),
                      *(["yes" if row.fits else "no"] if question.cache else []), context,
                      "yes" if row.on_front else "no",
                      NONE if row.probability_best is None else quantities.whole_percent(row.probability_best),
                      ", ".join(row.extrapolated) or NONE])
    widths = [max(map(len, column)) for column in zip(*lines)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
    head = f"For {question.context:,} tokens of context and {quantities.si(question.flops, 'FLOP')} of training{limit}:"
    return "\n".join([head, "", *table, "", *an_answer.notes]) + "\n"
