"""Results of studies whose truth is known."""

import math

import numpy as np

CHANCE = 1 / 32
WINDOW, LAYERS = 16, 6
REACH = WINDOW * LAYERS
SEQUENCE_LENGTH = 256
RELAYED = {"control": 0.9, "relay": 0.9, "beyond": CHANCE}  # what local layers can do at best
ALL = dict.fromkeys(RELAYED, 0.9)
GUESSING = dict.fromkeys(RELAYED, CHANCE)


def band(distance):
    return "control" if distance <= WINDOW else "relay" if distance <= REACH else "beyond"


def probe(random, rates, task="associative_recall", length=SEQUENCE_LENGTH, items=80, answers=6,
          floors=None, **difficulty):
    """Answers are right with the rate of their band, easier items more often; in tasks counted per
    item all of its answers at once, so that the rate is that of items. All arms get the same items.
    `floors`: {strategy: its rates by band}, of what reads no key."""
    per_answer = task == "associative_recall"
    asked = np.random.default_rng([*task.encode(), length])
    rows = {name: [] for name in ("item", "distance", "log_likelihood", "exact")}
    blind = []
    for item in range(items):
        of_item = math.exp(asked.uniform(math.log(2), math.log(length - 8)))
        ease, right_item = asked.uniform(-0.8, 0.8), random.random()
        for _ in range(answers):
            distance = round(math.exp(asked.uniform(math.log(2), math.log(length - 8)))
                             if per_answer else of_item)
            rate = rates[band(distance)]
            of_answer = rate + ease * min(rate, 1 - rate)
            right = (random.random() if per_answer else right_item) < of_answer
            rows["item"].append(item)
            rows["distance"].append(distance)
            rows["exact"].append(int(right))
            rows["log_likelihood"].append(math.log(rate) + random.normal(0, 0.1))
            blind.append(sum((asked.random() < of_strategy[band(distance)]) << bit
                             for bit, of_strategy in enumerate((floors or {}).values())))
    known = {"strategies": list(floors), "blind": blind} if floors else {}
    return {"task": task, "length": length, "chance": CHANCE, **rows, **known, **difficulty}


def text(random, loss, gain, windows=20):
    positions = [2**k for k in range(9)]
    classes = {"control": -2.0, "relay": -1.5 - gain, "beyond": -1.0 - gain, "rest": 0.3}
    full = np.maximum(random.normal(loss, 1.0, 200), 0.01)
    same = np.random.default_rng(7)  # the windows that all arms read
    return {
        "loss": loss, "tokens": 256 * windows,
        "by_position": [{"begin": begin - 1, "end": 2 * begin - 1,
                         "loss": loss + 2.5 / math.sqrt(begin) - gain * (begin > REACH)}
                        for begin in positions],
        "by_length": [{"length": length, "loss": loss + 20 / length +
                       0.4 * max(0, math.log2(length / SEQUENCE_LENGTH))}
                      for length in (64, 128, 256, 512, 1024)],
        "bigrams": [{"class": name, "tokens": (tokens := same.integers(10, 40, windows)).tolist(),
                     "nats": (tokens * random.normal(loss + shift, 0.1, windows)).tolist()}
                    for name, shift in classes.items()],
        "context": {"full": full.tolist(),
                    "cut": (full + random.normal(gain, 0.2, 200)).tolist()},
    }


def curve(loss, flops, points=12):
    return [{"step": 50 * k, "tokens": 50 * k * 2048, "training_flops": flops * k / points,
             "loss": loss + 3 / k - 3 / points} for k in range(1, points + 1)]


def arm(group, seed, layout, rates, loss=3.0, window=WINDOW, flops=1e12, probes=None, gain=0.1):
    """A finished arm; `rates` None: without recall. `probes`: options of each probe."""
    random = np.random.default_rng([*group.encode(), seed])
    own = loss + 0.01 * (seed - 2) + random.normal(0, 0.002)
    share = layout.count("G") / max(1, len(layout))
    recall = None if rates is None else {
        "text": text(random, own + 0.1, gain),
        "probes": [probe(random, rates, **options) for options in probes or [{}]]}
    return {
        "name": f"{group}-seed-{seed}", "group": group, "seed": seed,
        "settings": {"model.layer_group_size": len(layout)}, "state": "finished", "reason": "",
        "step": 600, "steps": 600, "layout": layout, "window_size": window, "parameters": 1234567,
        "training_flops": flops, "training_flops_per_token": flops / 1228800, "tokens": 1228800,
        "key_value_cache_bytes": {str(length): int(length * 6144 * (share + 0.01))
                                  for length in (4096, 32768, 131072)},
        "tokens_per_second": 20000.0 + 100 * seed, "peak_memory_gib": 0.5, "seconds": 61.0,
        "curve": curve(own - 0.1, flops, 60), "validation_curve": curve(own, flops),
        "recall": recall}


def failed(group, seed, layout, reason="the loss is not finite"):
    return {**arm(group, seed, layout, None, loss=9.0), "state": "failed", "reason": reason,
            "step": 17, "validation_curve": []}


def cost(layouts=(("mix:1", "GGGGGG"), ("mix:3", "GLLGLL"), ("all local", "LLLLLL"))):
    rows = []
    for name, pattern in layouts:
        for length in (256, 1024, 4096):
            attended = sum(length if kind == "G" else 32 for kind in pattern)
            forward = 1e-6 * length * (1 + attended / 2000)
            seconds = {"forward": forward, "backward": 2 * forward, "optimizer": 0.01,
                       "prefill": 0.9 * forward, "per_token": forward / length * 3}
            rows.append({"layout": name, "pattern": pattern, "length": length, "seconds": seconds,
                         "predicted_seconds": {key: value * 0.8 for key, value in seconds.items()
                                               if key != "optimizer"},
                         "tokens_per_second": length / (3 * forward),
                         "peak_memory_gib": 0.2 + attended * length * 4 / 2**30})
    return {"device": "cpu", "machine": "2 x Test CPU", "threads": 2, "precision": "fp32",
            "rates": {"matrix_products": 1e11}, "rows": rows}


def study(arms, **others):
    return {"name": "ratio", "zebra": "0.6.0 (abc)", "machine": "2 x Test CPU",
            "sequence_length": SEQUENCE_LENGTH, "budget": "tokens",
            "bands": {"window": WINDOW, "layers": LAYERS}, "arms": arms, "cost": None, **others}


def known_study():
    """A group that recalls all, one that guesses beyond its reach, one with a leak, one that fails
    its control, one that lost a seed, and one that lost all."""
    arms = []
    for seed in (1, 2, 3):
        arms.append(arm("full", seed, "GGGGGG", ALL, 3.0, flops=1.3e12))
        arms.append(arm("ratio-3", seed, "GLLGLL", ALL, 3.05, flops=1.1e12))
        arms.append(arm("local", seed, "LLLLLL", RELAYED, 3.3, flops=1e12, gain=0.02))
        arms.append(arm("leaking", seed, "LLLLLL", ALL, 3.2, flops=1e12))
        arms.append(arm("untrained", seed, "GLGLGL", GUESSING, 4.5, flops=1.2e12, gain=0.0))
    arms.append(arm("halting", 1, "GLLLLL", ALL, 3.1, flops=1.05e12))
    arms.append(arm("halting", 2, "GLLLLL", ALL, 3.1, flops=1.05e12))
    arms.append(failed("halting", 3, "GLLLLL"))
    arms.append({**failed("lost", 1, "LLLLLG", ""), "state": "unfinished"})
    return study(arms, cost=cost())


def learning(arm_of_study, rates_by_step, floors=None, **options):
    """The arm with a probe that was asked at several steps, the last of them the arm's. Answers are
    right with the rates of their bands at each step; the same items in all arms."""
    random = np.random.default_rng([*arm_of_study["name"].encode(), 1])
    *earlier, last = [(step, probe(random, rates, floors=floors, **options))
                      for step, rates in rates_by_step.items()]
    asked = {**last[1], "earlier": [{"step": step, "exact": of_step["exact"]}
                                    for step, of_step in earlier]}
    recall = {"text": None, "probes": [asked]}
    return {**arm_of_study, "step": last[0], "steps": last[0], "recall": recall}
