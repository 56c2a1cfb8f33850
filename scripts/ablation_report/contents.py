"""The report of a study as a document."""

from . import (conclusions, contrast_tables, contrasts, cost_plots, drawing, findings, headline,
               key_tokens, ladder_points, ladder_section, layout_section, learning, learning_section,
               loss_plots, measures, paper_tables, quantities, reading, recall_plots, tables)
from .document import Document, Facts, Links, Plot, Section


def _plot(name, title, caption, draw, *arguments):
    """A Plot in a tuple; an empty one where there is nothing to draw."""
    svg = drawing.svg(name, draw, *arguments)
    return (Plot(name, svg, title, caption),) if svg else ()


def _sources(a_study):
    """(name, shares) of the sources of training data, as the mean over the arms that mix several."""
    found = {}
    for arm in a_study.arms:
        if len(arm.sources) > 1:
            for source in arm.sources:
                found.setdefault(source.name, []).append(source)
    for name, sources in found.items():
        shares = [(of, [share for source in sources if (share := getattr(source, field)) is not None])
                  for of, field in (("samples", "samples_share"), ("targets", "targets_share"),
                                    ("loss", "loss_share"))]
        yield f"{name} in training", ", ".join(
            f"{quantities.percent(sum(values) / len(values))} of the {of}"
            for of, values in shares if values)


def _facts(a_study):
    return Facts(tuple((name, value) for name, value in (
        ("machine", a_study.machine), ("zebra", a_study.zebra),
        ("trained on", f"sequences of {a_study.sequence_length} tokens"),
        ("budget", f"equal {a_study.budget}" if a_study.budget else ""),
        ("control", quantities.band_range(a_study.bands, "control")),
        ("relay", quantities.band_range(a_study.bands, "relay")),
        ("beyond", quantities.band_range(a_study.bands, "beyond")),
        *_sources(a_study)) if value))


def _filled(groups):
    if len(groups) <= drawing.MOST_FILLED:
        return "Shaded: 95 % interval."
    return "Intervals are left out for so many groups; the tables have them."


def _against(compared, field):
    if not loss_plots.has_differences(compared, field):
        return ""
    return (f" Right: difference from {compared.reference}, paired by seed, which shows what the "
            "losses themselves hide.")


class _Report:
    """The sections, and what they share."""

    def __init__(self, a_study):
        self._ladder_study = ladder_points.by_layout(a_study)
        self._study = a_study = ladder_points.largest_rung(a_study)
        self._groups = measures.of_study(a_study)
        self._verdicts = findings.verdicts(self._groups)
        self._references = findings.reference_probes(a_study)
        self._compared = contrasts.of_study(a_study, self._groups, self._references.values())
        self._learnt = learning.of_study(a_study, self._groups)
        names = [group.name for group in (*self._groups, *self._ladder_study.groups)]
        self._layouts = cost_plots.names(a_study.cost, a_study.groups) if a_study.cost else {}
        # Layouts of the cost that no group has come last: groups keep their colours.
        self._styles = drawing.styles(dict.fromkeys([*names, *self._layouts.values()]))

    def document(self):
        sections = (self._conclusions(), self._summary(),
                    ladder_section.section(self._ladder_study, self._styles), self._overview(),
                    self._figures(), self._losses(), self._recall(), self._learning(),
                    self._natural_text(), self._frontier(), self._costs(), self._arms(),
                    reading.section(self._study, self._groups, self._compared))
        return Document(f"Ablation {self._study.name}", "Local and global attention: what layouts "
                        "cost, and what they recall", tuple(s for s in sections if s.parts),
                        paper_tables.main(self._study, self._groups, self._styles, self._verdicts,
                                          self._references))

    def _conclusions(self):
        return conclusions.section(self._study, self._groups, self._verdicts, self._compared,
                                   self._references, self._learnt)

    def _summary(self):
        differences = (contrast_tables.tested(self._compared, self._styles),
                       contrast_tables.described(self._compared, self._styles))
        return Section("Summary", (
            *headline.parts(self._study, self._groups, self._verdicts), _facts(self._study),
            *filter(None, differences)))

    def _overview(self):
        return Section("Groups", (
            tables.qualities(self._groups, self._styles, self._verdicts, self._references),
            tables.costs(self._groups, self._styles),
            Links((("table.tex", "losses and recall of the groups in LaTeX"),
                   ("results.csv", "every measurement, one in a row")))), new_page=True)

    def _figures(self):
        return layout_section.section(self._groups, self._references, self._study.bands)

    def _losses(self):
        groups, styles, length = self._groups, self._styles, self._study.sequence_length
        curves = [group.curve.kind for group in groups if group.curve]
        kind = "Validation" if "validation" in curves else "Training"
        of_kind = "" if kind == "Validation" else \
            " No validation curve was recorded; this is the smoothed loss of training."
        return Section("Loss", (
            *_plot("loss_by_flops", f"{kind} loss against training FLOPs",
                   f"Mean over seeds. {_filled(groups)}{of_kind}",
                   loss_plots.by_flops, groups, styles),
            *self._loss_by_place(),
            *_plot("loss_by_length", "Loss on natural text by length of the sequence",
                   f"Mean over seeds. {_filled(groups)}{_against(self._compared, 'by_length')} Hatched: "
                   f"lengths beyond the training length of {length} tokens.",
                   loss_plots.by_length, groups, styles, self._compared, length)), new_page=True)

    def _loss_by_place(self):
        """By what is visible, where the results tell it, else by position."""
        arguments = (self._groups, self._styles, self._compared)
        field, title, draw = (
            ("by_visible", "what is visible: tokens of the same document in the context",
             loss_plots.by_visible) if loss_plots.has_visible(self._groups) else
            ("by_position", "position in the sequence", loss_plots.by_position))
        return _plot(f"loss_{field}", f"Loss on natural text by {title}",
                     f"Mean over seeds. {_filled(self._groups)}{_against(self._compared, field)}",
                     draw, *arguments)

    def _recall(self):
        parts = []
        for key in self._study.probe_keys:
            longer = (" This length is beyond the training length: extrapolation."
                      if key.length > self._study.sequence_length else "")
            parts.extend(_plot(
                f"recall_{key.file}", f"{key.text}: recall by distance",
                f"Each point is the mean over a bin of distances{self._borders()}. {_filled(self._groups)} "
                f"{recall_plots.floor_words(self._groups, key)}{longer}",
                recall_plots.by_distance, self._groups, self._styles, key, self._study.bands))
            parts.append(tables.task(self._groups, self._styles, self._verdicts, key,
                                     self._study.bands))
        return Section("Recall in probes", tuple(parts), new_page=True)

    def _borders(self):
        return "" if self._study.bands.own else " within one band; lines are band borders"

    def _learning(self):
        return learning_section.section(self._study, self._learnt, self._styles,
                                        self._compared.reference, _plot)

    def _natural_text(self):
        groups, styles = self._groups, self._styles
        bands = self._study.bands_of(None, None)  # by which the text was measured, for all groups
        parts = [*_plot(
            "bigram_loss", "Loss on tokens that complete a bigram from the context",
            "By the distance to the bigram's last occurrence, and of all other tokens. Lower is "
            "better; lines: 95 % intervals. Compare groups within a panel: panels differ in more "
            "than distance.", loss_plots.by_class, groups, styles, bands)]
        known = [group for group in groups if group.text.classes]
        if known:
            parts.append(tables.losses(
                "Loss by class of token", "Nats per token.", known, styles,
                [(kind, lambda group, kind=kind: group.text.classes.get(kind), quantities.loss)
                 for kind in loss_plots.classes(known)]))
        parts.extend(_plot(
            "context_difference", "Loss with full context minus loss with the last W tokens",
            "Of the same tokens. Left of zero: the model makes use of what is farther back than W. "
            "Lines: 95 % intervals.", loss_plots.context_difference, groups, styles))
        known = [group for group in groups if group.text.context]
        if known:
            forms = {"full": quantities.loss, "cut": quantities.loss,
                     "difference": quantities.signed_loss}
            parts.append(tables.losses(
                "Loss with full and with cut context", "Nats per token.", known, styles,
                [({"full": "full context", "cut": f"last {bands.window} tokens",
                   "difference": "full minus cut"}[name],
                  lambda group, name=name: group.text.context.get(name), form)
                 for name, form in forms.items()]))
        return Section("Recall in natural text", (*parts, *self._key_tokens()), new_page=True)

    def _key_tokens(self):
        reference = contrasts.reference(self._study)
        chosen = key_tokens.chosen_by(reference) if reference else {}
        known = [group for group in self._groups if key_tokens.figure(group.group, chosen)]
        if not known:
            return ()
        kept = known[0].group.finished[0].text.long_context.kept
        return (tables.losses(
            "Loss on tokens that a long context helps",
            f"Nats per token, with the whole context, on {quantities.percent(key_tokens.share(chosen))} of "
            f"the tokens asked for: those that {reference.name} (its runs of other seeds) predicts better "
            f"by {key_tokens.LEAST_GAIN:g} nat or more with it than with the last {kept} tokens.", known,
            self._styles, [("loss", lambda group: key_tokens.figure(group.group, chosen),
                            quantities.loss)]),)

    def _frontier(self):
        return Section("Quality against cost", _plot(
            "frontier", "Validation loss and recall beyond the reach, against training FLOPs",
            "Mean and 95 % interval of every group. Grey: no group has a better mean for fewer FLOPs, "
            "which is no test of a difference: the summary has those. Probes at the longest length "
            "that training has seen.", recall_plots.frontier,
            self._groups, self._styles, self._references, self._study.bands), new_page=True)

    def _costs(self):
        cost = self._study.cost
        if not cost:
            return Section("Cost by sequence length", ())
        where = cost_plots.conditions(cost)
        return Section("Cost by sequence length", (
            *_plot("cost_by_length", "Tokens per second and memory by sequence length",
                   f"Measured{where}.", cost_plots.by_length, cost, self._layouts, self._styles),
            *_plot("cost_predicted", "Measured and predicted cost by sequence length",
                   f"Seconds of a phase{where}. Below: measured over predicted, 1 where the "
                   "prediction is right.", cost_plots.measured_and_predicted, cost, self._layouts,
                   self._styles)), new_page=True)

    def _arms(self):
        return Section("Arms", (tables.arms(self._ladder_study, self._styles),), new_page=True)


def report(a_study):
    return _Report(a_study).document()
