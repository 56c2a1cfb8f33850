"""Writes the report of a study of `zebra ablate`: index.html (one page that needs nothing else),
report.md with its plots, figures and a table for a paper, and results.csv with one row per
measurement. The same results give the same bytes. Exit status 2 if the results cannot be read."""

import argparse
import pathlib
import sys

if not __package__:  # run as a folder: Python then looks in the folder, not for the package
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

from ablation_report import (contents, files, latex, markdown, page, results_csv,  # noqa: E402
                             results_file, shapes)


def main():
    parser = argparse.ArgumentParser(prog="ablation_report", description=__doc__)
    parser.add_argument("results", type=pathlib.Path, metavar="RESULTS.json",
                        help="what `zebra ablate` has written")
    parser.add_argument("--output", type=pathlib.Path, required=True, metavar="DIR",
                        help="folder for the report; made where it is missing")
    arguments = parser.parse_args()
    try:
        a_study = results_file.read(arguments.results)
    except shapes.InvalidInput as invalid:
        print(f"ablation_report: {invalid}", file=sys.stderr)
        return 2
    document = contents.report(a_study)
    written = {"index.html": page.text(document), "report.md": markdown.text(document),
               "results.csv": results_csv.text(a_study), "table.tex": latex.text(document.paper_tables),
               **{f"plots/{plot.name}.svg": plot.svg.file() for plot in document.plots()}}
    for figure in document.figures():
        written[f"figures/{figure.name}.svg"] = figure.drawn.svg
        written[f"figures/{figure.name}.pdf"] = figure.drawn.pdf
    try:
        for name, content in written.items():
            files.write(arguments.output / name, content)
    except OSError as error:
        print(f"ablation_report: {error.filename}: cannot be written: {error.strerror}",
              file=sys.stderr)
        return 1
    print(arguments.output / "index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
