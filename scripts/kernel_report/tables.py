"""The report as Markdown."""

from . import disassembly, gpus, occupancy, resources

_COUNTED = ("HMMA", "LDSM", "LDS", "STS", "LDGSTS", "LDG", "STG", "MUFU", "F2FP", "FP32", "FMNMX",
            "FSEL", "SHFL", "BAR", "INT", "MOVE", "BRANCH", "LOCAL")


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def _by_target(kernels):
    """Lists of the same kernel for each target."""
    same = {}
    for kernel in kernels:
        same.setdefault((kernel.kernel_class, kernel.name, kernel.head_size), []).append(kernel)
    return list(same.values())


def _joined(values):
    """One value if all are the same."""
    values = list(map(str, values))
    return values[0] if len(set(values)) == 1 else " / ".join(values)


def _name(same):
    return [same[0].kernel_class, same[0].name, same[0].head_size]


def _blocks(same, gpu):
    return "".join(str(k.blocks_on(gpu)) for k in same if k.architecture == gpu.architecture)


def _resources(kernels):
    rows = [[
        *_name(same),
        _joined(k.compiled.registers for k in same),
        _joined(k.compiled.spill_bytes for k in same),
        _joined(k.compiled.stack_bytes for k in same),
        _joined(f"{k.compiled.static_shared_bytes} + {k.facts['dynamic_shared_bytes']}"
                for k in same),
        same[0].facts["threads"],
        *(_blocks(same, gpu) for gpu in occupancy.ALL),
    ] for same in _by_target(kernels)]
    return table(["class", "kernel", "D", "registers", "spill bytes", "stack bytes",
                   "shared bytes, static + dynamic", "threads",
                   *(f"blocks on {gpu.name}" for gpu in occupancy.ALL)], rows)


def _columns(counts):
    """Kinds of instructions that occur, and those that must not."""
    return [kind for kind in _COUNTED if kind == "LOCAL" or any(c[kind] for c in counts)]


def _with_fewest(count, fewest):
    return str(count) if fewest is None or count == fewest else f"{count} ({fewest})"


def _passes(kernels):
    kernels = [kernel for kernel in kernels if kernel.loop]
    counts = {kernel: disassembly.counts_of(kernel.loop.free) for kernel in kernels}
    columns = _columns(counts.values())
    rows = []
    for same in _by_target(kernels):
        tile = same[0].facts["tile"]
        rows.append([
            *_name(same)[1:], f"{tile['rows'] // tile['warps']} x {tile['columns']}",
            *(_joined(_with_fewest(counts[k][kind], k.fewest.get(kind)) for k in same)
              for kind in columns),
            _joined(_with_fewest(len(k.loop.free), sum(k.fewest.values())) for k in same),
            _joined(len(k.loop.masked) for k in same),
        ])
    return table(["kernel", "D", "tile of a warp", *columns, "all", "all, masked"], rows)


def _whole(kernels):
    columns = _columns([kernel.counts for kernel in kernels])
    return table(["class", "kernel", "D", *columns, "all"], [[
        *_name(same), *(_joined(k.counts[kind] for k in same) for kind in columns),
        _joined(len(k.compiled.instructions) for k in same)] for same in _by_target(kernels)])


def report(kernels):
    targets = " / ".join(sorted({kernel.architecture for kernel in kernels}))
    return "\n".join([
        "### Resources", "",
        f"Two numbers in a cell are those of {targets}. Blocks per multiprocessor come from "
        "registers, threads and shared memory; sm_86 and sm_89 run the sm_80 code.", "",
        _resources(kernels),
        "### Instructions of one pass of the main loop", "",
        "Of one warp, over a tile that needs no mask, from the disassembly. In brackets the fewest "
        "that the arithmetic allows, where there are more; INT, MOVE and BRANCH have no such "
        "bound, and the sum of the fewest has none of them. Last column: a tile with a mask, all "
        "of it visible.", "",
        _passes(kernels),
        "### Instructions of the whole kernel", "",
        _whole(kernels),
    ])


def row_report(kernels):
    """Of RowKernels."""
    targets = " / ".join(sorted({kernel.architecture for kernel in kernels}))
    same = {}
    for kernel in kernels:
        same.setdefault((kernel.name, kernel.element, kernel.is_aligned), []).append(kernel)
    access = {True: "16 bytes", False: "elements", None: ""}
    rows = [[name, element, access[is_aligned], _joined(k.compiled.registers for k in of_targets),
             _joined(k.compiled.spill_bytes for k in of_targets),
             _joined(k.compiled.stack_bytes for k in of_targets)]
            for (name, element, is_aligned), of_targets in same.items()]
    return "\n".join([
        "### Row kernels", "", f"Two numbers in a cell are those of {targets}.", "",
        table(["kernel", "type", "access", "registers", "spill bytes", "stack bytes"], rows)])


def _speed(speed):
    return f"{speed['ms']:.3f}", f"{speed['tflops']:.0f}"


def model_report(rows, checks):
    comparison = table(
        ["GPU", "D", "W", "key heads", "forward ms", "TFLOP/s", "backward ms", "TFLOP/s",
         "both ms", "TFLOP/s", "of peak", "limit: forward", "dq", "dk, dv", "FA2 forward ms",
         "FA2 backward ms", "gain forward", "backward", "both"],
        [[row["gpu"], row["head_size"], row["window"], row["key_heads"],
          *_speed(row["forward"]), *_speed(row["backward"]), *_speed(row["both"]),
          f"{100 * row['share_of_peak']:.0f} %",
          *(row["kernels"][name]["limit"]
            for name in ("forward", "query_gradient", "key_value_gradient")),
          f"{row['flash_attention_2']['forward']['ms']:.3f}",
          f"{row['flash_attention_2']['backward']['ms']:.3f}",
          *(f"{row['gain'][name]:.2f}" for name in ("forward", "backward", "both"))]
         for row in rows])
    checked = table(
        ["GPU", "D", "W", "direction", "published TFLOP/s", "model"],
        [[row["gpu"], row["head_size"], row["window"], row["direction"], row["published"],
          f"{row['model']:.0f}"] for row in checks])
    length, heads = (rows[0][name] for name in ("length", "query_heads")) if rows else (0, 0)
    assumptions = [
        "**A model, not a measurement.** No GPU has run these kernels for this table. The first card "
        "replaces every time and rate, the share of peak, the limits and the gain (--measured sets "
        "them beside the model); registers, occupancy and instructions above stay as they are.",
        f"One sequence of {length} tokens, {heads} query heads, rotary embedding inside, no "
        "documents. Useful TFLOP/s: 4 D per visible pair forward, 10 D backward.",
        "Instructions are those of the disassembly, tiles and visible groups are counted exactly. "
        "A pass lasts as long as its busiest resource on the busiest quarter of a multiprocessor, "
        f"plus {resources.UNHIDDEN:.0%} of the time of the three others (tensor cores, "
        "exponentials, issue and arithmetic, shared memory). A block adds its prologue and "
        f"epilogue and {resources.BLOCK_LATENCY_CYCLES} cycles of waiting; blocks are given to "
        f"free places in order; a launch costs {resources.LAUNCH_SECONDS * 1e6:.0f} microseconds; "
        "L2 and DRAM traffic that takes longer counts instead. The forward includes the rotation "
        "of keys.",
        "An m16n8k16 product occupies a quarter of a multiprocessor for " +
        ", ".join(f"{gpu.product_cycles:.1f} cycles on {gpu.name} at {gpu.clock_hz / 1e9:.2f} GHz"
                  for gpu in gpus.ALL) + ".",
        "FlashAttention-2 (FA2) and a separate rotary pass are in the same arithmetic, from its "
        "tile shapes: all tiles masked, dQ in float32 zeroed, added atomically and converted, dK "
        "and dV of grouped heads expanded and summed. Gain: its time over ours.",
    ]
    return "\n\n".join([
        "### Expected speed", *assumptions, comparison.rstrip(),
        "The model against what FA2 is known to reach (no rotary; the head size of the published "
        "case with a window is not known). Where it is too kind to FA2, as with a short window, "
        "expect as much of our numbers:", checked])
