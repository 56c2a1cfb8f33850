"""Gives an environment hard links to what wheels need and this Python has, as if pip had installed it: for from_wheels.sh, which
need not download some gigabytes again. usage: link_requirements.py WHEEL… SITE_PACKAGES"""

import email
import importlib.metadata
import os
import pathlib
import sys
import zipfile

from pip._vendor.packaging.requirements import Requirement


def requirements_of_wheel(path):
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name)).get_all("Requires-Dist") or []


def with_their_own(requirements):
    """The installed distributions that these ask for, and those that they ask for in turn. What is not there is pip's to fetch."""
    found, waiting = {}, [(requirement, "") for requirement in requirements]
    while waiting:
        text, extra = waiting.pop()
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        try:
            distribution = importlib.metadata.distribution(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            continue
        new_extras = [each for each in ("", *requirement.extras) if (requirement.name, each) not in found]
        for each in new_extras:
            found[requirement.name, each] = distribution
            waiting += [(text, each) for text in distribution.requires or []]
    return {distribution.metadata["Name"]: distribution for distribution in found.values()}.values()


def main():
    *wheels, target = map(pathlib.Path, sys.argv[1:])
    for distribution in with_their_own(text for wheel in wheels for text in requirements_of_wheel(wheel)):
        if any(target.glob(f"{distribution.metadata['Name']}-*.dist-info")):
            continue  # the environment came with it
        for file in distribution.files:
            if ".." in file.parts or "__pycache__" in file.parts:
                continue  # programs outside of site-packages
            place = target / file
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                os.link(file.locate().resolve(), place)


main()
