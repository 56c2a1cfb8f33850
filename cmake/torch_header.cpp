// Carries the precompiled <torch/torch.h> that all targets with LibTorch share.
