"""The programs of examples/zebra_attention, and the Python of the package's page."""

import re
import subprocess
import sys

import pytest
import torch
from conftest import ROOT

EXAMPLES = ROOT / "examples/zebra_attention"


def run(environment, script, *arguments):
    result = subprocess.run([sys.executable, EXAMPLES / script, *map(str, arguments)], capture_output=True, text=True,
                            env=environment, timeout=600)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_mistral_trains_as_with_sdpa(environment):
    lines = run(environment, "train_mistral.py", "--attention", "zebra", "sdpa", "eager").splitlines()
    losses = {line.split()[0]: [float(x) for x in line.split("losses")[1].split()] for line in lines}
    assert {name: len(values) for name, values in losses.items()} == {"zebra": 20, "sdpa": 20, "eager": 20}
    for other in ("sdpa", "eager"):
        assert losses["zebra"] == pytest.approx(losses[other], abs=5e-5)
    assert losses["zebra"][-1] < losses["zebra"][0] - 0.3


def test_a_gpt_with_the_windows_of_nanochat(environment):
    losses = [float(x) for x in re.findall(r"loss ([0-9.]+)", run(environment, "train_gpt.py", "--steps", 20))]
    assert losses[-1] < 0.75 * losses[0]


def test_torchtitan_override():
    pytest.importorskip("torchtitan")
    from torchtitan.config.override import OverrideConfig, apply_overrides
    from torchtitan.models.common.attention import VarlenAttention, VarlenMetadata
    from torchtitan.config.configurable import Configurable
    from dataclasses import dataclass

    from reference import attention

    class Model(Configurable):
        @dataclass(kw_only=True, slots=True)
        class Config(Configurable.Config):
            layers: list

    config = Model.Config(layers=[VarlenAttention.Config(window_size=(5, 0))])
    sys.path.insert(0, str(EXAMPLES))
    apply_overrides(OverrideConfig(imports=["torchtitan_override.local_attention"]), config)
    q, k, v = torch.randn(2, 20, 4, 16), torch.randn(2, 20, 2, 16), torch.randn(2, 20, 2, 16)
    bounds = torch.tensor([0, 7, 20, 40], dtype=torch.int32)
    out = config.layers[0].build()(q, k, v, attention_masks=VarlenMetadata(bounds, bounds, 20, 20), scale=0.3)
    first_token = torch.tensor([[0] * 7 + [7] * 13, [0] * 20])
    torch.testing.assert_close(out, attention(q, k, v, 5, first_token=first_token, scale=0.3), atol=1e-5, rtol=1e-5)


def test_the_python_of_the_page_runs(environment, tmp_path):
    page = (ROOT / "docs/zebra_attention.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 3
    result = subprocess.run([sys.executable, "-c", "\n".join(blocks)], capture_output=True, text=True, env=environment,
                            cwd=tmp_path, timeout=600)
    assert result.returncode == 0, result.stderr
