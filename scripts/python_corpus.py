#!/usr/bin/env python3
"""Makes a corpus without a download: the Python source that ships with the interpreter.

Every twentieth file, in sorted order, is held out. Files that are not UTF-8 are left out.
"""

import argparse
import pathlib
import shutil
import sysconfig

EXCLUDED = {"test", "tests", "idlelib", "lib2to3", "site-packages", "dist-packages", "__pycache__"}
HELD_OUT_EVERY = 20


def source_files(root):
    for path in sorted(root.rglob("*.py")):
        if EXCLUDED.isdisjoint(path.relative_to(root).parts) and is_utf8(path):
            yield path


def is_utf8(path):
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=pathlib.Path, help="folder to make, with train/ and valid/ inside")
    parser.add_argument("--max-files", type=int, help="take only the first so many files")
    arguments = parser.parse_args()

    # Made beside its place and renamed: a corpus that was interrupted is never taken for whole.
    partial = arguments.output.with_name(arguments.output.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    root = pathlib.Path(sysconfig.get_paths()["stdlib"])
    counts = {"train": [0, 0], "valid": [0, 0]}
    for index, path in enumerate(source_files(root)):
        if index == arguments.max_files:
            break
        part = "valid" if index % HELD_OUT_EVERY == HELD_OUT_EVERY - 1 else "train"
        target = partial / part / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        counts[part][0] += 1
        counts[part][1] += target.stat().st_size
    partial.rename(arguments.output)
    for part, (files, size) in counts.items():
        print(f"{part}: {files} files, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
