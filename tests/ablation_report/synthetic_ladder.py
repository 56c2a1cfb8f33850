"""Results of ladders whose law is known."""

import math

import numpy as np
import synthetic

E, ALPHA, BETA = 1.8, 0.35, 0.3
LAYOUTS = {"full": (20.0, 60.0), "half": (19.0, 57.0), "twin": (20.0, 60.0)}  # A and B
PATTERNS = {"full": "G", "half": "GL", "twin": "GGL"}
SIZES = {"xs": 50_000, "s": 150_000, "m": 450_000}
TOKENS_PER_PARAMETER = (10, 20, 40)
RATES = (1e-3, 2e-3, 4e-3)
BEST_RATE = 2e-3
OFF_BEST = 0.02  # by how much the logarithm of the loss is larger at the next rate
LENGTH = synthetic.SEQUENCE_LENGTH
LONGEST = 1024


def loss(layout, parameters, tokens):
    a, b = LAYOUTS[layout]
    return E + a * parameters**-ALPHA + b * tokens**-BETA


def flops_per_token(layout, parameters):
    """In the manner of the plan: global layers cost more, and at small sizes relatively more."""
    share = PATTERNS[layout].count("G") / len(PATTERNS[layout])
    return 6 * parameters * (1 + 40 * share / math.sqrt(parameters))


def best_at(layout, flops):
    """The lowest loss for so many FLOPs, by trying sizes."""
    sizes = np.exp(np.linspace(math.log(1e3), math.log(1e8), 20001))
    costs = 6 * sizes * (1 + 40 * PATTERNS[layout].count("G") / len(PATTERNS[layout]) / np.sqrt(sizes))
    return float(np.min(loss(layout, sizes, flops / costs)))


def multiplier(layout, flops):
    """Of the truth, against full: by halving the interval of the budgets."""
    target, low, high = best_at(layout, flops), math.log(flops / 100), math.log(flops * 100)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if best_at("full", math.exp(middle)) > target else (low, middle)
    return math.exp(low) / flops


def arm(layout, size, tokens_per_parameter, rate, seed, noise, number):
    random = np.random.default_rng([number, seed, *layout.encode(), SIZES[size], tokens_per_parameter, round(1e6 * rate)])
    parameters = SIZES[size]
    tokens = parameters * tokens_per_parameter
    per_token = flops_per_token(layout, parameters)
    off = OFF_BEST * abs(math.log(rate / BEST_RATE) / math.log(2))
    final = loss(layout, parameters, tokens) * math.exp(off + random.normal(0, noise))
    group = f"{layout}_{size}_{tokens_per_parameter}-per-parameter_{rate}-lr"
    pattern = (PATTERNS[layout] * 12)[:12]
    cache = pattern.count("G") * LONGEST * math.sqrt(parameters) + pattern.count("L") * 16
    return {
        "name": f"{group}_seed-{seed}", "group": group, "seed": seed, "settings": {}, "state": "finished", "reason": "",
        "step": 600, "steps": 600, "layout": pattern, "window_size": 16, "parameters": parameters + 1000,
        "training_flops": per_token * tokens, "training_flops_per_token": per_token, "tokens": tokens,
        "key_value_cache_bytes": {"4096": int(4 * cache)}, "tokens_per_second": 1e9 / per_token, "peak_memory_gib": 0.5,
        "seconds": 61.0, "curve": [],
        "validation_curve": [{"step": 600, "tokens": tokens, "training_flops": per_token * tokens, "loss": final}],
        "recall": None,
        "ladder": {"layout": layout, "size": size, "tokens_per_parameter": tokens_per_parameter, "learning_rate": rate,
                   "parameters": parameters, "key_value_cache_bytes": int(cache)}}


def cost(size):
    rows = [{"layout": layout, "pattern": (PATTERNS[layout] * 12)[:12], "length": length, "seconds": {},
             "predicted_seconds": {}, "tokens_per_second": 1e9 / flops_per_token(layout, SIZES[size]),
             "peak_memory_gib": 0.1} for layout in LAYOUTS for length in (LENGTH, LONGEST)]
    return {"device": "cpu", "machine": "2 x Test CPU", "threads": 2, "precision": "fp32", "rows": rows}


def study(seeds=3, noise=0.002, number=1, rates=(BEST_RATE,), layouts=tuple(LAYOUTS), sizes=tuple(SIZES),
          tokens_per_parameter=TOKENS_PER_PARAMETER):
    """`number` tells studies of the same truth apart."""
    arms = [arm(layout, size, tokens, rate, seed, noise, number) for layout in layouts for size in sizes
            for tokens in tokens_per_parameter for rate in rates for seed in range(1, seeds + 1)]
    return synthetic.study(arms, budget="", name="ladder", contrast="full",
                           ladder={"longest_length": LONGEST, "cost": {size: cost(size) for size in sizes}})
