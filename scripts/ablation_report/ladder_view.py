"""What the report and the advice take from a ladder: its points, the law, and the costs of its layouts."""

import dataclasses
import functools

import numpy as np

from . import ladder_fit, ladder_frontier, ladder_points


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """The layouts at one kind of equal budget."""
    title: str
    budget: tuple[float, str]  # amount and unit
    optima: dict  # of each layout: ladder_frontier.Optimum
    chances: dict


class Ladder:
    """Of a study that has one. Where `lacking` says why there is no law, only the points are known."""

    def __init__(self, a_study):
        self._study = a_study
        self.points = ladder_points.of_study(a_study)
        self.layouts = ladder_points.layouts(self.points)
        self.lacking = ladder_fit.lacking(self.points) if self.points else "no arm has finished"

    @functools.cached_property
    def law(self):
        return ladder_fit.fit(self.points)

    @property
    def longest_length(self):
        """At which caches are compared, in tokens."""
        return self._study.ladder.longest_length

    @property
    def left_out(self):
        """Layouts with too few points to have constants of their own."""
        return [layout for layout in self.layouts if layout not in self.law.layouts]

    @functools.cached_property
    def reference(self):
        fitted = [point for point in self.points if point.layout in self.law.layouts]
        return ladder_points.reference(self._study, fitted)

    def of_layout(self, layout):
        return [point for point in self.points if point.layout == layout]

    def _curves(self, value):
        return {layout: ladder_frontier.curve([(point.parameters, value(point)) for point in self.of_layout(layout)])
                for layout in self.law.layouts}

    @functools.cached_property
    def flops_per_token(self):
        """{layout: Curve} of training, at the length of training"""
        return self._curves(lambda point: point.flops_per_token)

    @functools.cached_property
    def cache_bytes(self):
        return self._curves(lambda point: point.key_value_cache_bytes)

    @functools.cached_property
    def budget(self):
        """The most FLOPs that every fitted layout has spent on a run."""
        return min(max(point.flops for point in self.of_layout(layout)) for layout in self.law.layouts)

    def multiplier(self, layout):
        return ladder_frontier.multiplier(self.law, layout, self.reference, self.flops_per_token, self.budget)

    def optimum(self, layout, budget=None):
        return ladder_frontier.optimum(self.law, layout, self.flops_per_token[layout], budget or self.budget)

    @functools.cached_property
    def _seconds(self):
        """{(layout, size): seconds per token of training, as measured alone at the length of training}"""
        patterns = {(arm.ladder.layout, arm.ladder.size): (arm.layout, arm.window_size) for arm in self._study.arms}
        result = {}
        for (layout, size), (pattern, window) in patterns.items():
            windows = {other for (_, of_size), (letters, other) in patterns.items()
                       if of_size == size and letters == pattern}
            cost = self._study.ladder.cost.get(size)
            rows = [row for row in cost.rows if row.pattern == pattern and row.tokens_per_second and
                    row.length == self._study.sequence_length] if cost else []
            if rows and windows == {window}:  # the bench measures one window for each pattern
                result[layout, size] = 1 / rows[0].tokens_per_second
        return result

    @functools.cached_property
    def seconds_per_token(self):
        """{layout: Curve}; None unless every size of every fitted layout was measured."""
        points = [point for point in self.points if point.layout in self.law.layouts]
        if any((point.layout, point.size) not in self._seconds for point in points):
            return None
        return self._curves(lambda point: self._seconds[point.layout, point.size])

    def views(self):
        """Equal FLOPs, equal measured time where it is known, equal cache."""
        yield self._view("equal FLOPs", self.budget, "FLOPs", {layout: self.optimum(layout) for layout in self.law.layouts})
        if self.seconds_per_token:
            longest = min(max(point.tokens * self._seconds[layout, point.size] for point in self.of_layout(layout))
                          for layout in self.law.layouts)
            yield self._view("equal time", longest, "seconds", {
                layout: ladder_frontier.optimum(self.law, layout, cost, longest)
                for layout, cost in self.seconds_per_token.items()})
        needed = {layout: np.exp(self.cache_bytes[layout].at(np.log(self.optimum(layout).parameters[0])))
                  for layout in self.law.layouts}
        least = float(min(needed.values()))
        yield self._view("equal cache", least, "bytes", {
            layout: ladder_frontier.optimum(self.law, layout, self.flops_per_token[layout], self.budget,
                                            self.cache_bytes[layout], least) for layout in self.law.layouts})

    @staticmethod
    def _view(title, budget, unit, optima):
        return View(title, (budget, unit), optima, ladder_frontier.chances(list(optima.values())))
