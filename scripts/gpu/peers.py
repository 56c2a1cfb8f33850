#!/usr/bin/env python3
"""What PyTorch reaches on this GPU: the ceilings of copies and matrix products, and attention beside ours.

    peers.py ceilings | attention | flex FILE
    peers.py gpus                               prints how many there are

The first form adds a line of JSON to FILE for each measurement: "what", the "case", milliseconds (medians), TFLOP/s or GB/s. FLOP/s count
visible pairs of query and key only, 4 D forward and 10 D backward for each, as zebra_bench_attention does.
"""

import argparse
import json
import statistics
import sys

import torch

SECONDS_PER_MEASUREMENT = 0.1
REPETITIONS = (3, 50)
LENGTH = 16384
HEADS = 16


def milliseconds(work):
    """Median of some repetitions, after one that does not count."""
    def once():
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)

    once()
    estimate = once()
    repetitions = int(min(max(1e3 * SECONDS_PER_MEASUREMENT / estimate, REPETITIONS[0]), REPETITIONS[1]))
    return statistics.median(once() for _ in range(repetitions))


def visible_pairs(length, window):
    """Of query and key: token t sees the keys max(t - window, 0) .. t."""
    ramp = min(window + 1, length)
    return ramp * (ramp + 1) // 2 + (length - ramp) * ramp


def random_heads(length, head_size, heads=HEADS, **options):
    """q, k, v and the gradient of the output, [1, H, T, D]."""
    options = {"device": "cuda", "dtype": torch.bfloat16, **options}
    tensors = [torch.randn(1, heads, length, head_size, **options) for _ in range(4)]
    return [x.requires_grad_() for x in tensors[:3]], tensors[3]


def rotary_table(length, head_size, device):
    """cos and sin, [T, D] in float32."""
    angles = torch.outer(torch.arange(length, device=device, dtype=torch.float32),
                         1e4 ** (-torch.arange(0, head_size, 2, device=device, dtype=torch.float32) / head_size))
    return torch.cat([angles, angles], -1).cos(), torch.cat([angles, angles], -1).sin()


def rotated(x, table):
    cos, sin = table
    left, right = x.float().chunk(2, -1)
    return (x.float() * cos + torch.cat([-right, left], -1) * sin).to(x.dtype)


def differentiated(what, attention, length, window, head_size):
    """A row of one form of attention, forward and backward."""
    leaves, gradient = random_heads(length, head_size)
    forward = milliseconds(lambda: attention(*leaves))
    out = attention(*leaves)
    backward = milliseconds(lambda: torch.autograd.grad(out, leaves, gradient, retain_graph=True))
    products = visible_pairs(length, window) * head_size * HEADS / 1e9  # per millisecond: 1e12 a second
    return {"what": what, "case": {"D": head_size, "T": length, "W": window, "H": HEADS},
            "forward_ms": forward, "backward_ms": backward,
            "forward_tflops": 4 * products / forward, "backward_tflops": 10 * products / backward}


def causal(q, k, v):
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)


def flash_with_window(window):
    """LibTorch's FlashAttention-2 with a window, which its public functions do not offer."""
    def attention(q, k, v):
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        length = q.shape[1]
        out = torch.ops.aten._flash_attention_forward(q, k, v, None, None, length, length, 0.0, False, False,
                                                      window_size_left=window, window_size_right=0)[0]
        return out.transpose(1, 2)
    return attention


def band(window):
    """The mask of a local layer, for FlexAttention."""
    def visible(batch, head, query, key):
        return (key <= query) & (query - key <= window)
    return visible


def flex_with_rotary(length, window, table, device):
    """FlexAttention with the rotation of q and k before it, to be compiled as one function."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention
    mask = create_block_mask(band(window), None, None, length, length, device=device)

    def attention(q, k, v):
        return flex_attention(rotated(q, table), rotated(k, table), v, block_mask=mask)
    return attention


def card():
    properties = torch.cuda.get_device_properties(0)
    yield {"what": "card", "name": properties.name, "memory_gib": round(properties.total_memory / 2**30, 1),
           "compute_capability": f"{properties.major}.{properties.minor}", "multiprocessors": properties.multi_processor_count,
           "gpus": torch.cuda.device_count(), "torch": torch.__version__, "cuda": torch.version.cuda,
           "cudnn": torch.backends.cudnn.version(), "nccl": ".".join(map(str, torch.cuda.nccl.version()))}


def chosen_kernel():
    """Which of its kernels LibTorch takes for a global layer."""
    from torch.nn.attention import SDPBackend
    for head_size in (64, 128):
        (q, k, v), _ = random_heads(1024, head_size)
        kernel = SDPBackend(torch._fused_sdp_choice(q, k, v, is_causal=True)).name
        yield {"what": "LibTorch's choice for a causal mask", "case": {"D": head_size}, "kernel": kernel}


def ceilings():
    yield from card()
    source = torch.randn(2**28, device="cuda")
    target = torch.empty_like(source)
    taken = milliseconds(lambda: target.copy_(source))
    yield {"what": "copy", "case": {"bytes": 4 * source.numel()}, "ms": taken,
           "gb_per_second": 2 * 4 * source.numel() / taken / 1e6}
    del source, target
    for rows, inner, columns in ((8192, 8192, 8192), (16384, 2048, 11264)):
        a = torch.randn(rows, inner, device="cuda", dtype=torch.bfloat16)
        b = torch.randn(inner, columns, device="cuda", dtype=torch.bfloat16)
        taken = milliseconds(lambda: a @ b)
        yield {"what": "product in bfloat16", "case": {"m": rows, "k": inner, "n": columns}, "ms": taken,
               "tflops": 2 * rows * inner * columns / taken / 1e9}
    yield from chosen_kernel()


def attention():
    from torch.nn.attention import SDPBackend, sdpa_kernel
    for head_size in (128, 64):
        for length in (4096, 16384, 32768):
            with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
                yield differentiated("cuDNN, causal", causal, length, length - 1, head_size)
    for deterministic in (False, True):
        torch.use_deterministic_algorithms(deterministic)
        name = "FlashAttention-2 of LibTorch" + (", deterministic" if deterministic else "")
        for window in (128, 512, 1024, 4096):
            yield differentiated(name, flash_with_window(window), LENGTH, window, 128)
        yield differentiated(name + ", causal", flash_with_window(LENGTH), LENGTH, LENGTH - 1, 128)
    torch.use_deterministic_algorithms(False)
    table = rotary_table(LENGTH, 128, "cuda")
    (q, _, _), _ = random_heads(LENGTH, 128)
    with torch.no_grad():
        yield {"what": "rotary embedding of q, eager", "case": {"D": 128, "T": LENGTH, "H": HEADS},
               "ms": milliseconds(lambda: rotated(q, table))}


def flex():
    for window in (512, 128, 1024, 4096):
        table = rotary_table(LENGTH, 128, "cuda")
        form = torch.compile(flex_with_rotary(LENGTH, window, table, "cuda"), dynamic=False)
        yield differentiated("FlexAttention, compiled with rotary embedding", form, LENGTH, window, 128)


PARTS = {"ceilings": ceilings, "attention": attention, "flex": flex}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=[*PARTS, "gpus"])
    parser.add_argument("file", nargs="?", default="/dev/null")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("there is no GPU: torch.cuda.is_available() is false")
    if arguments.part == "gpus":
        return print(torch.cuda.device_count())
    torch.manual_seed(1)
    with open(arguments.file, "a") as file:
        for row in PARTS[arguments.part]():
            print(json.dumps(row), file=file, flush=True)
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
