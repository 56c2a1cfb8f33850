#!/usr/bin/env python3
"""Prints which layout, size and number of tokens the results of a ladder speak for (`zebra ablate --advise`). Exit status 2
if the results do not suffice or cannot be read."""

import argparse
import json
import pathlib
import sys

from ablation_report import ladder_advice, results_file, shapes


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=pathlib.Path, metavar="RESULTS.json", help="what `zebra ablate` has written")
    parser.add_argument("question", type=pathlib.Path, metavar="QUESTION.json",
                        help="context, budget and what layouts cost there, as `zebra ablate --advise` writes them")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    try:
        answer = ladder_advice.answer(results_file.read(arguments.results), ladder_advice.read_question(arguments.question))
    except shapes.InvalidInput as invalid:
        print(f"ablation_advice: {invalid}", file=sys.stderr)
        return 2
    as_json = json.dumps(ladder_advice.json_of(answer), indent=2) + "\n" if arguments.json else None
    print(as_json or ladder_advice.text(answer), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
