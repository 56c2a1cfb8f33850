"""Our kernels in torchtitan 0.3, in place of its VarlenAttention, on CPUs too:

    PYTHONPATH=examples/zebra_attention ... --override.imports torchtitan_override.local_attention

The window stays that of the model's configuration: `window_size=(W, 0)` of a VarlenAttention. (The window n of torchtitan's
`get_sliding_window_mask_mod(n)` counts the token itself: W = n - 1.)
"""

from dataclasses import dataclass

from torchtitan.config import derive, override
from torchtitan.models.common.attention import VarlenAttention

from zebra_attention import flash_attn_varlen_func


class LocalAttention(VarlenAttention):
    @dataclass(kw_only=True, slots=True)
    class Config(VarlenAttention.Config):
        pass

    def forward(self, q, k, v, *, attention_masks, scale=None, out_transform=None, **others):
        """q [B, L, Hq, D], k and v [B, L, Hkv, D]; the documents of all sequences are one after the other in the masks."""
        if out_transform is not None:
            raise NotImplementedError("LocalAttention: out_transform asks for log-sum-exps, which are not returned.")
        out = flash_attn_varlen_func(
            q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1), attention_masks.cu_seq_q, attention_masks.cu_seq_k,
            attention_masks.max_q, attention_masks.max_k, softmax_scale=scale, window_size=self.window_size)
        return out.unflatten(0, q.shape[:2])


@override(target=VarlenAttention.Config, fqns=["layers.*"], description="attention by zebra_attention's kernels")
def local_attention(config):
    return derive(config, LocalAttention.Config)
