"""The model of our kernels and of FlashAttention-2 side by side, and against published speeds."""

from . import flash_attention, gpus, model

_CHECK_LENGTH = 16384
# (GPU, head size, window, published TFLOP/s of FlashAttention-2 forward and backward); a window of
# the whole length is plain causal attention. The head size of the case with a window is not known.
_PUBLISHED = (("A100", 128, _CHECK_LENGTH, "199-217", "173-180"),
              ("H100", 128, _CHECK_LENGTH, "335", "322"),
              ("A100", 64, 128, "52", "40"))


def _speed(seconds, flops):
    return {"ms": 1e3 * seconds, "tflops": flops / seconds / 1e12}


def _directions(forward, backward, case):
    """Milliseconds and useful TFLOP/s of seconds."""
    work = case.pairs * case.head_size
    return {
        "forward": _speed(forward, model.FORWARD_FLOPS * work),
        "backward": _speed(backward, model.BACKWARD_FLOPS * work),
        "both": _speed(forward + backward, (model.FORWARD_FLOPS + model.BACKWARD_FLOPS) * work),
    }


def compare(kernels):
    """A row for every GPU and case."""
    rows = []
    for gpu in gpus.ALL:
        of_gpu = {(k.name, k.head_size): k for k in kernels if k.kernel_class == "ampere" and
                  k.architecture == gpu.multiprocessor.architecture}
        for case in model.CASES if of_gpu else ():
            forward = model.forward_times(gpu, of_gpu, case)
            backward = model.backward_times(gpu, of_gpu, case)
            ours = _directions(model.total(forward), model.total(backward), case)
            rotary = flash_attention.rotary_time(gpu, case).seconds
            theirs = _directions(
                flash_attention.forward_time(gpu, case).seconds + rotary,
                model.total(flash_attention.backward_times(gpu, case)) + rotary, case)
            rows.append({
                "gpu": gpu.name, "length": case.length, "head_size": case.head_size,
                "query_heads": case.query_heads, "key_heads": case.key_heads,
                "window": case.window, **ours,
                "share_of_peak": ours["both"]["tflops"] * 1e12 / gpu.peak_flops,
                "kernels": {name: {"ms": 1e3 * time.seconds, "limit": time.limit}
                            for name, time in {**forward, **backward}.items()},
                "flash_attention_2": theirs,
                "gain": {name: theirs[name]["ms"] / ours[name]["ms"] for name in ours},
            })
    return rows


def check():
    """The model of FlashAttention-2 without rotary embedding against what it is known to reach."""
    rows = []
    by_name = {gpu.name: gpu for gpu in gpus.ALL}
    for name, head_size, window, *published in _PUBLISHED:
        gpu = by_name[name]
        case = model.Case(_CHECK_LENGTH, window, head_size, 16, 16)
        masked = window < case.length
        speeds = _directions(flash_attention.forward_time(gpu, case, masked).seconds,
                             model.total(flash_attention.backward_times(gpu, case, masked)), case)
        rows.extend({"gpu": name, "head_size": head_size, "window": window if masked else "causal",
                     "direction": direction, "published": known,
                     "model": speeds[direction]["tflops"]}
                    for direction, known in zip(("forward", "backward"), published))
    return rows
