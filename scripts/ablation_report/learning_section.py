"""The section on how soon recall is learnt."""

from . import learning_plots, learning_tables
from .document import Section


def section(a_study, learnt, styles, reference, plot):
    """`learnt`: learning.of_study(); without parts where no probe was asked at several checkpoints.
    `plot`: makes a tuple with a Plot of a name, title, caption, function and its arguments."""
    parts, bands = [], a_study.bands_of(None, None)
    for key, of_probe in learnt.items():
        parts.extend(plot(
            f"learning_{key.file}", f"{key.text}: recall against training tokens",
            "At every checkpoint that the run keeps, and at the end. Thin: each seed; thick with "
            "marks: the mean over the group's seeds.",
            learning_plots.by_tokens, of_probe, styles, bands))
        if table := learning_tables.tokens_until(of_probe, key, bands, styles, reference):
            parts.append(table)
    return Section("Speed of learning", tuple(parts), new_page=True)
