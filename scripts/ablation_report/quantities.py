"""Numbers as text, the same in tables, plots and sentences."""

import itertools
import math

NONE = "–"
_LONGEST_LAYOUT = 16  # letters that are written one by one
_SI = ((1e24, "Y"), (1e21, "Z"), (1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"),
       (1e3, "k"))


def significant(value, digits):
    """Without an exponent, with so many significant digits."""
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def si(value, unit=""):
    """Such as 1.23 PFLOP."""
    if value is None:
        return NONE
    scale, prefix = next(((scale, prefix) for scale, prefix in _SI if abs(value) >= scale),
                         (1, ""))
    return f"{significant(value / scale, 3)} {prefix}{unit}".strip()


def tick(value):
    """An axis label with an SI prefix and without trailing zeros."""
    if value == 0:
        return "0"
    scale, prefix = next(((scale, prefix) for scale, prefix in _SI if abs(value) >= scale),
                         (1, ""))
    return f"{value / scale:.4g} {prefix}".strip()


def length(tokens):
    """4096 as 4K."""
    return f"{tokens // 1024}K" if tokens >= 1024 and tokens % 1024 == 0 else f"{tokens}"


def memory(size):
    if size is None:
        return NONE
    for scale, unit in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= scale:
            return f"{significant(size / scale, 3)} {unit}"
    return f"{size:.0f} B"


def whole(value):
    return NONE if value is None else f"{value:,.0f}"


def loss(value):
    return f"{value:.3f}"


def signed_loss(value):
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def loss_size(value):
    return f"{value:.4f}"


def loss_difference(value):
    """Of losses of the same seeds, known better than either of them."""
    return f"{value:+.4f}".replace("-", "\N{MINUS SIGN}")


def points_size(share):
    """Of a difference of shares, of which there are none beyond 100 points."""
    return f"{100 * share:.1f}" if share <= 1 else "more than 100"


def points(share):
    """A difference of shares, in percentage points."""
    return f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")


def p_value(value):
    if value is None:
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def whole_percent(share):
    return f"{100 * share:.0f} %"


def percent(share):
    return f"{100 * share:.1f} %"


def chance(share):
    if share is None:
        return NONE
    return f"{significant(100 * share, 2)} %" if share >= 1e-6 else f"{100 * share:.1g} %"


def seconds(value):
    if value is None:
        return NONE
    for scale, unit in ((3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= scale:
            return f"{significant(value / scale, 3)} {unit}"
    return f"{value:.3g} s"


def seconds_tick(value):
    scale, unit = next(((scale, unit) for scale, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "µs"))
                        if value >= scale * (1 - 1e-9)), (1e-9, "ns"))
    return f"{value / scale:.4g} {unit}"


def interval(figure, form):
    """"[low, high]" or, without one, nothing."""
    return "" if figure.low is None else f"[{form(figure.low)}, {form(figure.high)}]"


def percent_interval(figure):
    return interval(figure, lambda share: f"{100 * share:.1f}")


def band_range(bands, band):
    """Of each group's own bands in symbols: n local layers of window W."""
    if bands.own:
        return {"control": "d ≤ W", "relay": "W < d ≤ n W", "beyond": "d > n W"}[band]
    relay = f"{bands.window} < d ≤ {bands.reach}" if bands.layers > 1 else "no distance"
    return {"control": f"d ≤ {bands.window}", "relay": relay, "beyond": f"d > {bands.reach}"}[band]


def count(number, thing):
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def listed(names):
    names = list(names)
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def period(letters):
    """Of a layout: how many layers pass before it repeats."""
    return next(size for size in range(1, len(letters) + 1)
                if all(letters[i] == letters[i - size] for i in range(size, len(letters))))


def layout(letters):
    """A layout in letters; a long one as its repeated part, such as GLLL × 20, or as its runs."""
    if not letters:
        return NONE
    if len(letters) <= _LONGEST_LAYOUT:
        return letters
    repeated = period(letters)
    times, rest = divmod(len(letters), repeated)
    if times > 1 and repeated <= _LONGEST_LAYOUT:
        return f"{letters[:repeated]} × {times}" + (f" + {letters[-rest:]}" if rest else "")
    runs = [f"{kind} × {len(list(run))}" for kind, run in itertools.groupby(letters)]
    return " + ".join(runs) if len(runs) <= _LONGEST_LAYOUT // 2 else letters
