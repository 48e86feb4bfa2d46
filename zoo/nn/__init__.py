"""Deterministic networks, Tensor -> Tensor; each knows its ``out_shape``, (C, H, W) of one image."""
