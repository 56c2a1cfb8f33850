"""Whether all contenders of compare.py train the same: the losses of their first steps on the same batch."""

import comparison_run
from contenders import Failed, Peer

STEPS = 5
# How far a loss may be from ours, relative to it.
BOUNDS = {"fp32": 1e-5, "bf16": 1e-2}


def losses_of(contender):
    """Of the first steps, and why there are none."""
    try:
        contender.start()
        return contender.measure(0, STEPS).losses, None
    except Failed as failed:
        return [], str(failed)
    finally:
        contender.close()


def agree(losses, expected, bound):
    """Also false for NaN."""
    return len(losses) == len(expected) == STEPS and all(
        abs(loss - other) <= bound * abs(other) for loss, other in zip(losses, expected))


def check_case(arguments, python, job, folder):
    """Prints the losses of all contenders; returns whether they agree."""
    bound = BOUNDS[arguments.precision]
    print(f"{job.batch} sequences of {job.length} tokens: losses of the first {STEPS} steps", flush=True)
    ours = comparison_run.our_contenders(arguments, job, folder)
    peers = [Peer(python, job, folder / f"{name}-{weights}", name, weights)
             for name in arguments.peers for weights in comparison_run.possible_weights(arguments)]
    expected, all_agree = None, True
    for contender in [*ours, *peers]:
        losses, failure = losses_of(contender)
        expected = losses if expected is None else expected
        agrees = agree(losses, expected, bound)
        all_agree &= agrees
        verdict = "agrees" if agrees else f"FAILED: {failure}" if failure else "DIFFERS"
        print(f"  {contender.name} ({contender.weights}): {' '.join(f'{loss:.6f}' for loss in losses)}  {verdict}", flush=True)
    return all_agree
