"""The class of machine that a result's last digits depend on; nothing that tells one machine from another."""

import os
import platform

import torch


def describe(device: str) -> dict:
    """System, processor, threads, vector instructions that torch uses, and the GPU where `device` is one.

    `instructions` are those for bfloat16 arithmetic, which rounds otherwise without them.
    """
    has = torch.cpu.get_capabilities()
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "instructions": sorted(name for name in has if has[name] is True and "bf16" in name),
        "gpu": torch.cuda.get_device_name() if device.startswith("cuda") else None,
    }


def in_words(record: dict) -> str | None:
    """What decides a chapter's last digits, in words, from its provenance; None where it was not recorded."""
    found = record["machine"]
    if "capability" not in found:
        return None
    device = " ".join(filter(None, (record["device"], found["gpu"])))
    instructions = " ".join(["CPU with", found["capability"], *found["instructions"]])
    return f"{record['dtype']} and {record['compare_dtype']} on {device}, {instructions}"
