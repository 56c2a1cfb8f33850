"""What compare.py measured, as Markdown and as JSON."""

import statistics


def spread(values):
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def ratios(ours, peer):
    """Of the rounds in which both were measured; a round is one entry of each list, None where there is no figure."""
    return [own.rate / other.rate for own, other in zip(ours, peer) if own and other]


def spread_text(values, pattern):
    shown = {key: format(value, pattern) for key, value in spread(values).items()}
    return shown["median"] if len(values) == 1 else f"{shown['median']} ({shown['lowest']} to {shown['highest']})"


def describe(contender):
    grouping = getattr(contender, "grouping", None)
    return contender.weights + (f", {grouping}" if grouping else "")


def case_table(results):
    """One row for each contender; a column of ratios for each of ours."""
    ours = [result for result in results if result.is_ours and any(result.rounds)]
    titles = ["trained by", "weights, grouped heads", "tokens/s", "memory, GiB", *(f"{own.name} / it" for own in ours)]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for result in results:
        measured = [entry for entry in result.rounds if entry]
        if measured:
            peaks = [entry.peak_bytes / 2**30 for entry in measured if entry.peak_bytes]
            cells = [result.description, spread_text([entry.rate for entry in measured], ",.0f"),
                     format(max(peaks), ".2f") if peaks else "unknown"]
            for own in ours:
                values = [] if result.is_ours else ratios(own.rounds, result.rounds)
                cells.append(spread_text(values, ".2f") if values else "")
        else:
            cells = [result.description, "", "", *("" for _ in ours)]
        name = result.name + (f" (failed: {result.failure})" if result.failure else "")
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def case_json(results):
    ours = [result for result in results if result.is_ours and any(result.rounds)]
    rows = []
    for result in results:
        row = {"name": result.name, "description": result.description, "failure": result.failure, "rounds": [
            entry and {"tokens_per_second": entry.rate, "by_step": entry.tokens_per_second, "losses": entry.losses,
                       "peak_bytes": entry.peak_bytes} for entry in result.rounds]}
        if not result.is_ours:
            row["ratios"] = {own.name: spread(values) for own in ours if (values := ratios(own.rounds, result.rounds))}
        rows.append(row)
    return rows
