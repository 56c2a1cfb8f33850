"""attn_implementation="zebra": logits and all gradients of tiny random models beside transformers' own eager attention."""

import functools

import pytest
import torch

transformers = pytest.importorskip("transformers")

from zebra_attention import huggingface  # noqa: E402

LENGTH, WINDOW = 40, 9  # of sliding_window: the token itself counts
COMMON = {"vocab_size": 96, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
          "num_key_value_heads": 2, "max_position_embeddings": 256, "sliding_window": WINDOW, "pad_token_id": 0,
          "bos_token_id": 1, "eos_token_id": 2}
LAYERS = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
QWEN = {"use_sliding_window": True, "max_window_layers": 1, "head_dim": 16}
EXPERTS = {"num_local_experts": 2, "num_experts_per_tok": 2}
# With what makes each small, has windows in it, and makes it leave the defaults that hide errors.
FAMILIES = {
    "mistral": {"head_dim": 16},
    "ministral": {"head_dim": 16, **LAYERS},
    "ministral3": {"head_dim": 16},
    "qwen2": QWEN,
    "qwen3": QWEN,
    "gemma2": {"head_dim": 16, "query_pre_attn_scalar": 13, "attn_logit_softcapping": None, **LAYERS},
    "gemma3_text": {"head_dim": 16, "query_pre_attn_scalar": 13, **LAYERS},
    "gpt_oss": {"head_dim": 16, **EXPERTS, **LAYERS},
    "granite_swa": {"attention_multiplier": 0.31, "layer_rope_theta": [1e4, 0, 1e3], **LAYERS},
    "olmo3": LAYERS,
    "cohere2": LAYERS,
    "starcoder2": {},
    "phi3": {},
    "exaone4": {"sliding_window_pattern": 2, **LAYERS},
    "smollm3": {"use_sliding_window": True, **LAYERS},
    "cwm": {"head_dim": 16, **LAYERS},
    "llama": {},
    "phimoe": EXPERTS,  # its layers do not name the window: only the mask has it
    "llama4_text": {"head_dim": 16, "attention_chunk_size": 7, "intermediate_size_mlp": 96, "num_local_experts": 2,
                    "layer_types": ["chunked_attention", "full_attention", "chunked_attention"]},
}


def model(family, attention="eager", **changes):
    torch.manual_seed(3)
    config = transformers.AutoConfig.for_model(family, **(COMMON | FAMILIES.get(family, {}) | changes))
    made = transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "sink" in name:
                parameter.normal_()
            elif any(part in name for part in ("q_proj", "k_proj", "qkv_proj")):
                parameter.mul_(8)  # scores that differ
    return made


@pytest.fixture
def kernel_calls(monkeypatch):
    """The calls of the kernel: a model that falls back would be right too."""
    calls = []

    def counted(*arguments, **options):
        calls.append(options)
        return local_attention(*arguments, **options)

    local_attention = huggingface.local_attention
    monkeypatch.setattr(huggingface, "local_attention", counted)
    return calls


def tokens(batch=2, length=LENGTH):
    return torch.randint(3, 96, (batch, length), generator=torch.Generator().manual_seed(4))


def outcome(made, counted_rows=None, **inputs):
    """Logits of the rows that count, and the gradients of a weighted sum of them in every parameter."""
    made.zero_grad()
    logits = made(use_cache=False, **inputs).logits
    weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(5)).to(logits.dtype)
    if counted_rows is not None:
        logits, weights = logits[counted_rows], weights[counted_rows]
    (logits * weights).sum().backward()
    return {"logits": logits.detach(), **{name: p.grad for name, p in made.named_parameters() if p.grad is not None}}


def assert_equal(ours, theirs, tolerance=1e-5):
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        error = (ours[name] - expected).abs().max()
        assert error <= tolerance * max(1, expected.abs().max()), f"{name}: {error}"  # false for NaN


def padded(side):
    real = torch.ones(2, LENGTH, dtype=torch.int64)
    real[1, :13 if side == "left" else 0] = 0
    real[1, LENGTH if side == "left" else -13:] = 0
    return real


@pytest.mark.parametrize("family", FAMILIES)
def test_families(family, kernel_calls):
    eager, ours = model(family), model(family, "zebra")
    ids = tokens()
    layers = eager.config.num_hidden_layers
    assert_equal(outcome(ours, input_ids=ids), outcome(eager, input_ids=ids))
    assert len(kernel_calls) == layers

    for side in ("left", "right"):
        real = padded(side)
        inputs = {"input_ids": ids, "attention_mask": real}
        assert_equal(outcome(ours, real.bool(), **inputs), outcome(eager, real.bool(), **inputs))
    assert len(kernel_calls) == 3 * layers

    # Documents one after the other, as data collators without padding give them.
    positions = torch.cat([torch.arange(n) for n in (17, 1, 22)]).expand(2, -1)
    inputs = {"input_ids": ids, "position_ids": positions}
    assert_equal(outcome(ours, **inputs), outcome(eager, **inputs))
    assert len(kernel_calls) == 4 * layers
    # The last document by itself: packing is no approximation. But gpt_oss does not tell its masks the positions.
    alone = ours(input_ids=ids[:, 18:], use_cache=False).logits
    packed = ours(**inputs, use_cache=False).logits[:, 18:]
    assert torch.allclose(packed, alone, atol=2e-5, rtol=1e-5) == (family != "gpt_oss")


def test_padding_with_gaps_is_a_dense_mask(kernel_calls):
    real = torch.ones(2, LENGTH, dtype=torch.int64)
    real[0, 10:14] = real[0, :2] = 0
    inputs = {"input_ids": tokens(), "attention_mask": real}
    eager, ours = model("ministral"), model("ministral", "zebra")
    assert_equal(outcome(ours, real.bool(), **inputs), outcome(eager, real.bool(), **inputs))
    assert not kernel_calls


@pytest.mark.parametrize("family", ["gemma2", "gpt_oss", "mistral", "granite_swa"])
def test_generation_with_a_cache(family, kernel_calls):
    prompt, real = tokens(length=25), padded("left")[:, :25]
    options = {"max_new_tokens": 12, "do_sample": False, "attention_mask": real, "output_logits": True,
               "return_dict_in_generate": True}
    theirs, ours = (model(family, attention).generate(prompt, **options) for attention in ("eager", "zebra"))
    assert torch.equal(ours.sequences, theirs.sequences)
    for a, b in zip(ours.logits, theirs.logits, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    assert len(kernel_calls) == 3  # the prompt's


@pytest.mark.parametrize("family, changes", [("gemma2", {"attn_logit_softcapping": 5.0}), ("mistral", {"head_dim": 258})])
def test_what_has_no_kernel_falls_back(family, changes, kernel_calls):
    ids = tokens()
    assert_equal(*(outcome(model(family, attention, **changes), input_ids=ids) for attention in ("zebra", "eager")))
    assert not kernel_calls


def test_types_without_a_kernel_fall_back(kernel_calls):
    ids = tokens()
    assert_equal(*(outcome(model("granite_swa", attention).double(), input_ids=ids) for attention in ("zebra", "eager")))
    assert not kernel_calls


def test_dropout_is_that_of_sdpa(kernel_calls):
    outcomes = []
    for attention in ("zebra", "sdpa"):
        made = model("mistral", attention, attention_dropout=0.4).train()
        torch.manual_seed(6)
        outcomes.append(outcome(made, input_ids=tokens()))
    assert_equal(*outcomes)
    assert not kernel_calls


def test_bfloat16_is_as_exact_as_eager(kernel_calls):
    ids = tokens()
    exact = model("qwen3")(ids).logits
    errors = [(model("qwen3", attention).bfloat16()(ids).logits - exact).abs().max() for attention in ("zebra", "eager")]
    assert errors[0] <= 2 * errors[1]
    assert len(kernel_calls) == 3


def test_autocast(kernel_calls):
    ids = tokens()
    exact = model("qwen3")(ids).logits
    with torch.autocast("cpu", dtype=torch.bfloat16):
        errors = [(model("qwen3", attention)(ids).logits - exact).abs().max() for attention in ("zebra", "sdpa")]
    assert errors[0] <= 2 * errors[1]
    assert len(kernel_calls) == 3


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_compiled_whole():
    plain = model("granite_swa", "zebra", num_hidden_layers=2, layer_types=LAYERS["layer_types"][:2],
                  layer_rope_theta=[1e4, 0])
    compiled = torch.compile(plain.model, backend="eager", fullgraph=True, dynamic=True)
    for length in (LENGTH, LENGTH + 7):
        ids = tokens(length=length)
        expected = plain.model(input_ids=ids, use_cache=False).last_hidden_state
        got = compiled(input_ids=ids, use_cache=False).last_hidden_state
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_bidirectional_masks_are_refused():
    bert = transformers.AutoModel.from_config(
        transformers.BertConfig(vocab_size=96, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                                intermediate_size=32), attn_implementation="zebra")
    with pytest.raises(NotImplementedError, match="later tokens.*sdpa"):
        bert(tokens())
    with pytest.raises(NotImplementedError, match="of the model's own"):
        model("gemma3_text", "zebra", use_bidirectional_attention=True)(tokens())


def test_blocks_that_see_ahead_are_refused():
    """Images in a text: tokens of one block see each other, which transformers says in its mask function alone."""
    from transformers.masking_utils import create_causal_mask
    config = transformers.AutoConfig.for_model("mistral", **COMMON)
    config._attn_implementation = "zebra"
    make = functools.partial(create_causal_mask, config, torch.zeros(1, 12, 4), None, None)
    block = torch.full((1, 12), -1)
    assert make(block_sequence_ids=block) is None
    block[0, 4:7] = 0
    with pytest.raises(NotImplementedError, match="later tokens"):
        make(block_sequence_ids=block)
