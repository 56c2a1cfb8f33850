#!/usr/bin/env python3
"""One peer of compare.py: trains a model in PyTorch, so many steps at a time.

    peer_train.py SETTINGS.json

Each line of standard input is a number of steps. Each is answered by one line of JSON, with the tokens per second and the loss
of every step; before the first, a line says that the peer is ready. It ends with its standard input."""

import json
import os
import pathlib
import sys
import time

import numpy
import torch
from safetensors.torch import load_file

import peer_attention
import peer_model


class Samples:
    """The sequences of a token dataset, in order and then from the first one again."""

    def __init__(self, folder, batch, length, device):
        description = json.loads((folder / "dataset.json").read_text())
        self.tokens = numpy.memmap(folder / "tokens.bin", dtype=f"<u{description['token_bytes']}", mode="r")
        self.count = (len(self.tokens) - 1) // length
        self.batch, self.length, self.device = batch, length, device
        self.next_sample = 0

    def batch_of_next_step(self):
        begins = [(self.next_sample + i) % self.count * self.length for i in range(self.batch)]
        self.next_sample += self.batch
        rows = torch.from_numpy(numpy.stack([self.tokens[begin:begin + self.length + 1] for begin in begins]).astype("int64"))
        rows = rows.to(self.device)
        return rows[:, :-1], rows[:, 1:].contiguous()


class Optimizer:
    """Fused AdamW on float32 weights behind clipping by norm. Weights in bfloat16 are rounded copies of float32 masters."""

    def __init__(self, model, settings):
        self.weights = list(model.parameters())
        self.has_masters = self.weights[0].dtype != torch.float32
        self.masters = [weight.detach().float() for weight in self.weights] if self.has_masters else self.weights
        decayed = [master for master in self.masters if master.dim() > 1]
        other = [master for master in self.masters if master.dim() == 1]
        groups = [{"params": decayed, "weight_decay": settings["weight_decay"]}, {"params": other, "weight_decay": 0.0}]
        self.adamw = torch.optim.AdamW(groups, lr=settings["lr"], betas=settings["betas"], eps=settings["eps"], fused=True)
        self.grad_clip = settings["grad_clip"]
        if self.has_masters:
            for master in self.masters:
                master.grad = torch.empty_like(master)

    @torch.no_grad()
    def step(self):
        if self.has_masters:
            torch._foreach_copy_([master.grad for master in self.masters], [weight.grad for weight in self.weights])
        torch.nn.utils.clip_grad_norm_(self.masters, self.grad_clip)
        self.adamw.step()
        if self.has_masters:
            torch._foreach_copy_(self.weights, self.masters)
        for weight in self.weights:
            weight.grad = None


def computed_in(settings):
    """Type of activations: float32 weights without autocast stay what they are."""
    return torch.float32 if settings["weights"] == "float32" else torch.bfloat16


class Training:
    def __init__(self, settings, grouping):
        shape = peer_model.Shape(**settings["shape"])
        self.device = torch.device(settings["device"])
        model = peer_model.make_model(shape, load_file(settings["initial_weights"]), settings["form"], settings["length"],
                                      computed_in(settings), self.device, grouping)
        if settings["weights"] == "masters":
            model.to(torch.bfloat16)
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=settings["weights"] == "autocast")
        self.loss = torch.compile(model.loss, dynamic=False) if settings["compiled"] else model.loss
        self.optimizer = Optimizer(model, settings["optimizer"])
        self.samples = Samples(pathlib.Path(settings["dataset"]), settings["batch"], settings["length"], self.device)
        self.tokens_per_step = settings["batch"] * settings["length"]

    def step(self):
        """Tokens per second and loss."""
        began = time.perf_counter()
        tokens, targets = self.samples.batch_of_next_step()
        with self.autocast:
            loss = self.loss(tokens, targets)
        loss.backward()
        self.optimizer.step()
        value = loss.item()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return self.tokens_per_step / (time.perf_counter() - began), value


def quickest_grouping(settings):
    """By the clock, on causal attention of the model's own shape over at most 1,024 tokens."""
    shape, device = peer_model.Shape(**settings["shape"]), settings["device"]
    length = min(settings["length"], 1024)

    def leaf(heads):
        return torch.randn(settings["batch"], heads, length, shape.head_size, dtype=computed_in(settings), device=device,
                           requires_grad=True)

    q, k, v = leaf(shape.heads), leaf(shape.key_heads), leaf(shape.key_heads)
    seconds = {}
    for way in peer_attention.Grouping.WAYS:
        attention = peer_attention.Causal(peer_attention.Grouping(way))
        for attempt in range(4):  # the first one warms up
            began = time.perf_counter()
            attention(q, k, v).sum().backward()
            q.grad.sum().item()  # waits for the device
            if attempt:
                seconds[way] = min(seconds.get(way, float("inf")), time.perf_counter() - began)
    return min(seconds, key=seconds.get)


def main():
    settings = json.loads(pathlib.Path(sys.argv[1]).read_text())
    # Libraries print what they like; the answers have a channel of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(settings["threads"])

    def answer(**values):
        print(json.dumps(values), file=answers, flush=True)

    try:
        way = quickest_grouping(settings)
        training = Training(settings, peer_attention.Grouping(way))
        answer(grouping=way)
        for line in sys.stdin:
            steps = [training.step() for _ in range(int(line))]
            answer(tokens_per_second=[rate for rate, _ in steps], loss=[loss for _, loss in steps])
    except Exception as error:
        answer(error=f"{type(error).__name__}: {error}")
        raise


if __name__ == "__main__":
    main()
