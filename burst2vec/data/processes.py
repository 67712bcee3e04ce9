"""What the machine has to offer: how many processes there is room for, and which precision is fast."""

import os

import torch


def usable_cores() -> int:
    """Those that this process may use: a batch system grants fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def bf16_is_native(use_cpu: bool = False) -> bool:
    """Whether this machine multiplies bfloat16 matrices in hardware, so that bf16 autocast is faster and not slower.

    A CUDA GPU from Ampere on; without an accelerator, or with ``use_cpu``, a processor with AVX-512 bf16, AMX or Arm's
    bf16 instructions. Other accelerators are left in float32 unless asked.
    """
    if torch.accelerator.is_available() and not use_cpu:
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
