"""Starts the contenders of compare.py and lets them train by turns."""

import sys
import time

import comparison_table
from contenders import Failed, Ours, Peer

TRIAL_STEPS = 2


class Result:
    """A contender and what it did in each round: a Measurement, or None where it failed."""

    def __init__(self, contender, is_ours):
        self.contender, self.is_ours, self.name = contender, is_ours, contender.name
        self.rounds, self.failure = [], None

    @property
    def description(self):
        return comparison_table.describe(self.contender)


class Progress:
    """Lines on standard error, with the time that is left as far as rounds already done tell."""

    def __init__(self, rounds):
        self.rounds_left = rounds
        self.seconds = {}

    def line(self, text):
        print(text, file=sys.stderr, flush=True)

    def measured(self, where, name, text, seconds):
        self.seconds[name] = seconds
        self.line(f"{where}: {name}: {text}")

    def round_done(self, where):
        self.rounds_left -= 1
        left = self.rounds_left * sum(self.seconds.values()) / 60
        self.line(f"{where} done; about {left:.1f} minutes left, without the start of peers")


def our_contenders(arguments, job, folder):
    variants = [("ours", True)] if arguments.deterministic != "no" else []
    if arguments.deterministic != "yes":
        variants.append(("ours-nondeterministic", False))
    return [Ours(arguments.zebra, job, folder / name, name, deterministic) for name, deterministic in variants]


def possible_weights(arguments):
    """How a peer may hold and use its weights. A processor without instructions for bfloat16 can be quicker in float32."""
    if arguments.precision == "fp32":
        return ["float32"]
    if arguments.weights != "quickest":
        return [arguments.weights]
    return ["masters", "autocast"] + (["float32"] if arguments.device == "cpu" else [])


def trial(peer, warmup):
    """Tokens per second. The peer goes on living, unless it failed."""
    try:
        peer.start()
        return peer.measure(warmup, TRIAL_STEPS).rate
    except BaseException:
        peer.close()
        raise


def start_peer(arguments, python, job, folder, name):
    """The peer with the quickest of the possible weights, started and warm. Throws Failed when none of them runs."""
    best, best_rate, failure = None, 0.0, None
    for weights in possible_weights(arguments):
        peer = Peer(python, job, folder / f"{name}-{weights}", name, weights)
        try:
            rate = trial(peer, arguments.warmup)
        except Failed as failed:
            failure = failed
            continue
        if rate > best_rate:
            best, best_rate, peer = peer, rate, best
        if peer:
            peer.close()
    if best is None:
        raise failure
    return best


def start_contenders(arguments, python, job, folder, progress):
    """Yields a Result for each."""
    for ours in our_contenders(arguments, job, folder):
        yield Result(ours, True)
    for name in arguments.peers:
        began = time.monotonic()
        try:
            peer = start_peer(arguments, python, job, folder, name)
            progress.line(f"{name} is ready after {time.monotonic() - began:.0f} s: {comparison_table.describe(peer)}")
            yield Result(peer, False)
        except Failed as failed:
            progress.line(f"{name} failed: {failed}")
            result = Result(Peer(python, job, folder / name, name, ""), False)
            result.failure = str(failed)
            yield result


def measure_round(arguments, results, where, progress, number):
    """Every contender once, in an order that turns around from round to round."""
    for result in results if number % 2 else reversed(results):
        measurement = None
        if not result.failure:
            began = time.monotonic()
            try:
                measurement = result.contender.measure(arguments.warmup, arguments.steps)
                progress.measured(where, result.name, f"{measurement.rate:,.0f} tokens/s", time.monotonic() - began)
            except Failed as failed:
                result.failure = str(failed)
                progress.measured(where, result.name, f"failed: {failed}", 0.0)
        result.rounds.append(measurement)
    progress.round_done(where)


def measure_case(arguments, python, job, folder, progress):
    """The results of all contenders after all rounds."""
    results = []
    try:
        for result in start_contenders(arguments, python, job, folder, progress):
            results.append(result)
        for number in range(1, arguments.rounds + 1):
            measure_round(arguments, results, f"{job.batch}x{job.length}, round {number} of {arguments.rounds}", progress, number)
    finally:
        for result in results:
            result.contender.close()
    return results
