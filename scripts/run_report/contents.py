"""What the report says, section by section."""

import datetime
import itertools
import json

from ablation_report import document, drawing, quantities

from . import plots

_MOST_STEPS_NAMED = 12  # of skipped ones
_COMMIT_LETTERS = 10


def _flat(settings, prefix=""):
    """(key, value as a run file has it) of all settings; each entry of a list of maps has keys of its own."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for index, entry in enumerate(value):
                yield from _flat(entry, f"{prefix}{name}[{index}].")
        else:
            yield prefix + name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _duration(seconds):
    seconds = round(seconds)
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return " ".join(f"{count}{unit}" for count, unit in parts[:2])


def _loss(value):
    return quantities.NONE if value is None else f"{value:.4f}"


def _best(run):
    known = [row for row in run.validations if row["validation_loss"] is not None]
    return min(known, key=lambda row: row["validation_loss"], default=None)


def _state(run):
    """A run that a signal or --stop-after ended has not failed, and is not finished."""
    state = run.status.get("state", "unfinished")
    kind = state if state in ("finished", "failed") else "unfinished"
    return document.StateCell(kind, run.status.get("reason", "") if kind == "failed" else "" if state == kind else state)


def _tokens_per_second(run):
    rates = [row["tokens_per_second"] for row in run.steps if row.get("tokens_per_second")]
    return len(rates) / sum(1 / rate for rate in rates) if rates else None


def _overview(runs, styles):
    columns = ("run", "state", "step", "tokens", "loss", "validation", "best", "time", "tokens a second", "machine")
    rows = []
    for run in runs:
        last, best = run.steps[-1] if run.steps else {}, _best(run)
        rows.append((document.GroupCell(run.name, styles[run.name]), _state(run), f"{last.get('step', 0):,} of {run.max_steps:,}",
                     quantities.si(last.get("tokens")), _loss(last.get("loss")),
                     _loss(run.validations[-1]["validation_loss"] if run.validations else None),
                     f"{_loss(best['validation_loss'])} at {best['step']:,}" if best else quantities.NONE,
                     _duration(last.get("seconds", 0)), quantities.si(_tokens_per_second(run)),
                     run.starts[-1].get("machine", quantities.NONE) if run.starts else quantities.NONE))
    text = ("run", "state", "machine")
    table = document.Table("", tuple(document.Column(name, numeric=name not in text) for name in columns), tuple(rows),
                           "Losses in nats per token; validation is the last one, best the lowest and its step. The rate is the "
                           "mean over all logged steps, without validation and saving.")
    return document.Section("Overview", (table,))


def _plot(name, title, caption, draw, *arguments):
    svg = drawing.svg(name, draw, *arguments)
    return (document.Plot(name, svg, title, caption),) if svg else ()


def _legend(runs, styles):
    return tuple(document.GroupCell(run.name, styles[run.name]) for run in runs)


def _time_axis(runs):
    """(label, seconds of its unit): the largest unit that the longest run has at least two of."""
    longest = max((run.steps[-1]["seconds"] for run in runs if run.steps), default=0)
    units = (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1))
    return next((unit for unit in units if longest >= 2 * unit[1]), units[-1])


def _curves(runs, styles):
    thin = " Thin: logged steps, means of some where there are many." if len(runs) == 1 else ""
    caption = f"Thick: mean of 2 % of the logged steps around.{thin} Markers: validation. The first tenth may lie above the figure."
    unit, seconds = _time_axis(runs)
    marks = " Marks at the bottom: steps without an update." if any(run.skipped for run in runs) else ""
    panels = (
        *_plot("tokens", "Loss by tokens", caption, plots.losses, runs, styles, "tokens", lambda row: row["tokens"]),
        *_plot("time", "Loss by time", "", plots.losses, runs, styles, f"{unit} of training", lambda row: row["seconds"] / seconds),
        *_plot("position", "Loss by position", "Of the last validation; positions double in size.", plots.by_position, runs, styles),
        *_plot("norm", "Gradient norm", f"Before clipping.{marks}", plots.gradient_norms, runs, styles),
        *_plot("rate", "Learning rate", "", plots.course, runs, styles, "lr", plots.learning_rate),
        *_plot("speed", "Tokens a second", "Of all ranks, without validation and saving.", plots.course, runs, styles,
               "tokens_per_second", quantities.tick),
        *_plot("memory", "Memory (GiB)", "Of the first rank's process.", plots.course, runs, styles, "memory_gib", quantities.tick))
    return document.Section("Curves", (document.Panels(panels, _legend(runs if len(runs) > 1 else [], styles)),))


def _skipped(run):
    if not run.skipped:
        return ()
    named = ", ".join(f"{step:,}" for step in run.skipped[:_MOST_STEPS_NAMED])
    more = len(run.skipped) - _MOST_STEPS_NAMED
    steps = "step" if len(run.skipped) == 1 else "steps"
    return (document.Alert("Skipped", f"{run.name}: {len(run.skipped):,} {steps} without an update: {named}"
                           + (f" and {more:,} more" if more > 0 else "")),)


def _changed(previous, start):
    """What is new at a start: keys, build and machine."""
    changes = [change.replace(" -> ", " → ") for change in start.get("changes", ())]
    for key, name in (("ranks", "ranks"), ("host", "host"), ("machine", "machine"), ("commit", "build"), ("torch", "torch")):
        if previous and previous.get(key) != start.get(key):
            before, now = (str(row.get(key))[:_COMMIT_LETTERS if key == "commit" else None] for row in (previous, start))
            changes.append(f"{name}: {before} → {now}")
    return document.LinesCell(tuple(changes)) if changes else quantities.NONE


def _starts(runs, styles):
    rows = []
    for run in runs:
        for previous, start in zip([None, *run.starts], run.starts):
            rows.append((*_legend([run] if len(runs) > 1 else [], styles), start.get("date", "").replace("T", " ").rstrip("Z"),
                         f"{start.get('step', 0):,}", str(start.get("ranks", "")), start.get("host", ""), _changed(previous, start)))
    parts = tuple(part for run in runs for part in _skipped(run))
    if rows:
        columns = tuple(document.Column(name, numeric=name in ("from step", "ranks"))
                        for name in (*(("run",) if len(runs) > 1 else ()), "date (UTC)", "from step", "ranks", "host", "what changed"))
        parts += (document.Table("Starts", columns, tuple(rows)),)
    return document.Section("What happened", parts or (document.Paragraph("Nothing is known of the starts: an older build made the run."),))


_OWN = ("run.name", "run.dir", "data.tokenizer")


def _settings(runs, styles):
    flat = [dict(_flat(run.config)) for run in runs]
    keys = list(dict.fromkeys(key for settings in flat for key in settings if key not in _OWN))
    if len(runs) == 1:
        parts = []
        for section, names in itertools.groupby(keys, key=lambda key: key.split(".")[0]):
            parts += [document.Subheading(section),
                      document.Facts(tuple((key.removeprefix(f"{section}."), flat[0][key]) for key in names))]
        return document.Section("Settings", tuple(parts))
    different = [key for key in keys if len({settings.get(key) for settings in flat}) > 1]
    if not different:
        return document.Section("Settings", (document.Paragraph("All runs have the same settings, but for name and folders."),))
    columns = (document.Column("key", numeric=False), *(document.Column(run.name, numeric=False) for run in runs))
    rows = tuple((key, *(settings.get(key, quantities.NONE) for settings in flat)) for key in different)
    return document.Section("Settings that differ", (document.Table("", columns, rows),))


def _samples(runs):
    parts = []
    for run in runs:
        for step, text in run.samples if len(runs) == 1 else run.samples[-1:]:
            parts += [document.Subheading(f"{run.name}, step {step:,}"), document.Verbatim(text.rstrip("\n"))]
    return (document.Section("Samples", tuple(parts)),) if parts else ()


def report(runs):
    styles = drawing.styles([run.name for run in runs])
    title = runs[0].config["run"]["name"] if len(runs) == 1 else f"{len(runs)} runs"
    updated = max((run.status.get("updated", "") for run in runs), default="")
    known = f"as of {datetime.datetime.fromisoformat(updated).strftime('%Y-%m-%d %H:%M')} UTC" if updated else ""
    return document.Document(title, known, (_overview(runs, styles), _curves(runs, styles), _starts(runs, styles),
                                            _settings(runs, styles), *_samples(runs)), ())
