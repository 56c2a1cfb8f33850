"""Writes one HTML page about runs that needs nothing else: curves, what happened, settings, samples. Exit status 2 if a run cannot
be read."""

import argparse
import pathlib
import sys

if not __package__:  # run as a folder: Python then looks in the folder, not for the package
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

from ablation_report import files, page  # noqa: E402
from run_report import contents, reading  # noqa: E402


def main():
    parser = argparse.ArgumentParser(prog="run_report", description=__doc__)
    parser.add_argument("runs", type=pathlib.Path, nargs="+", metavar="RUN", help="folder of a run")
    parser.add_argument("--output", type=pathlib.Path, required=True, metavar="FILE.html", help="page to write")
    arguments = parser.parse_args()
    try:
        runs = reading.read_all(arguments.runs)
    except reading.InvalidInput as invalid:
        print(invalid, file=sys.stderr)
        return 2
    try:
        files.write(arguments.output, page.text(contents.report(runs)))
    except OSError as error:
        print(f"{error.filename}: cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    print(arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
