"""Makes a folder with safetensors of a HuggingFace folder whose weights are in PyTorch's own format (pytorch_model.bin, or its
shards with their index), for `zebra import`. Weights alone are read (`weights_only`): a .bin file can otherwise run code. Every
value keeps its bits. One shard at a time is in memory.

    python scripts/huggingface/bin_to_safetensors.py FOLDER NEW_FOLDER
"""

import argparse
import json
import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file

INDEX = "pytorch_model.bin.index.json"
COPIED = ("config.json", "generation_config.json", "tokenizer.model", "tokenizer.json", "tokenizer_config.json",
          "special_tokens_map.json", "added_tokens.json")


class BadInput(Exception):
    pass


def shards_of(folder):
    """The names of the weight files, in order."""
    if (folder / INDEX).exists():
        names = sorted(set(json.loads((folder / INDEX).read_text())["weight_map"].values()))
        for name in names:
            if pathlib.Path(name).name != name:
                raise BadInput(f"{folder / INDEX}: {name!r} is not a file's name")
        return names
    if (folder / "pytorch_model.bin").exists():
        return ["pytorch_model.bin"]
    raise BadInput(f"{folder}: holds neither pytorch_model.bin nor {INDEX}")


def tensors_of(path):
    """The tensors of a file by name, each with memory of its own."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise BadInput(f"{path}: cannot be read as weights alone: {str(error).splitlines()[0]}") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise BadInput(f"{path}: is not a map of tensors")
    return {name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in state.items()}


def convert(folder, output):
    if output.exists():
        raise BadInput(f"{output}: exists already; name a new folder or remove it first")
    names = shards_of(folder)
    beside = output.with_name(output.name + ".partial")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        files, size = {}, 0
        for number, name in enumerate(names, 1):
            tensors = tensors_of(folder / name)
            target = "model.safetensors" if len(names) == 1 else f"model-{number:05}-of-{len(names):05}.safetensors"
            repeated = files.keys() & tensors.keys()
            if repeated:
                raise BadInput(f"{folder / name}: tensor {min(repeated)} is in another file too")
            save_file(tensors, beside / target, metadata={"format": "pt"})
            files |= dict.fromkeys(tensors, target)
            size += sum(value.nbytes for value in tensors.values())
        if len(names) > 1:
            index = {"metadata": {"total_size": size}, "weight_map": files}
            (beside / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
        for name in COPIED:
            if (folder / name).exists():
                shutil.copy(folder / name, beside / name)
        beside.rename(output)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return len(files), size


def main():
    parser = argparse.ArgumentParser(description="Converts pytorch_model.bin to safetensors, for zebra import.")
    parser.add_argument("folder", type=pathlib.Path, help="HuggingFace folder with pytorch_model.bin or its shards")
    parser.add_argument("output", type=pathlib.Path, help="new folder")
    arguments = parser.parse_args()
    try:
        count, size = convert(arguments.folder, arguments.output)
    except (BadInput, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{count} tensors ({size / 2**30:.2f} GiB) written to {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
