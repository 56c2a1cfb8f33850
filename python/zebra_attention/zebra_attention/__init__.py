"""Attention inside a window, forward and backward, on CPUs and CUDA.

    from zebra_attention import local_attention, packed_local_attention       # our own door
    from zebra_attention import flash_attn_func, flash_attn_varlen_func       # FlashAttention's signatures
    import zebra_attention; ...from_pretrained(..., attn_implementation="zebra")  # transformers
"""

import importlib.util

from .flash_attention import flash_attn_func, flash_attn_varlen_func
from .operators import first_tokens, has_kernel, local_attention, packed_local_attention

__all__ = ["first_tokens", "flash_attn_func", "flash_attn_varlen_func", "has_kernel", "local_attention",
           "packed_local_attention"]

if importlib.util.find_spec("transformers") is not None:
    from . import huggingface

    huggingface.register()
