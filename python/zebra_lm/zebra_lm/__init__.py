"""The command `zebra`, with the LibTorch of this environment."""

import importlib.metadata
import importlib.util
import os
import pathlib
import sys

_FOLDER = pathlib.Path(__file__).resolve().parent
_ZEBRA = _FOLDER / "bin/zebra"
_BAD_USAGE = 2


def zebra():
    _run(_ZEBRA, _ZEBRA, *sys.argv[1:])


def quickstart():
    script = _FOLDER / "share/zebra/scripts/quickstart.sh"
    _run("bash", "bash", script, *sys.argv[1:], ZEBRA=str(_ZEBRA))


def _run(program, *arguments, **variables):
    """Becomes the program, which runs scripts with this Python."""
    environment = {**os.environ, **variables, **_path_to_torch()}
    environment.setdefault("ZEBRA_PYTHON", sys.executable)
    os.execvpe(program, arguments, environment)


def _path_to_torch():
    """What the environment must say of where torch is: nothing where it is beside this package, as pip puts it."""
    wanted = importlib.metadata.version("zebra-lm").partition("+torch")[2]
    spec = importlib.util.find_spec("torch")
    if spec is None:
        _refuse(f"zebra needs torch {wanted}, and this Python ({sys.executable}) has none", wanted)
    found = importlib.metadata.version("torch")
    if not found.startswith(wanted + "."):
        _refuse(f"this zebra was built for torch {wanted}, and torch here is {found}", wanted)
    torch = pathlib.Path(spec.submodule_search_locations[0])
    if torch.resolve() == (_FOLDER.parent / "torch").resolve():
        return {}
    return {"LD_LIBRARY_PATH": os.pathsep.join(filter(None, [str(torch / "lib"), os.environ.get("LD_LIBRARY_PATH")]))}


def _refuse(problem, wanted):
    print(f"{problem}: pip install 'torch=={wanted}.*', or a wheel zebra-lm for that torch", file=sys.stderr)
    sys.exit(_BAD_USAGE)
