"""Size and speed of the model of a config."""

import platform
import re
import statistics
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import BaseDataElement
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from .catalogue import Measured

# As many runs as fit into so much CPU time, but not too few.
SECONDS = 10.0
FEWEST = 5


def measure(cfg: Config) -> Measured:
    """Measure the model of a config, with random weights, for one image.

    The image has the size that the backbone learns positions for. Models run as their
    libraries count FLOPs (``mode='tensor'``): one pass, without flips or decoding;
    detectors with the proposals that they make of random weights, which are as many as
    their configs allow.
    """
    torch.set_num_threads(1)
    model = build(cfg)
    # A pretraining config is measured by what it is there for.
    part = 'model' if cfg.get('test_dataloader') else 'backbone'
    model = (model if part == 'model' else model.backbone).eval()
    size = tuple(cfg.model.backbone.img_size)
    inputs = inputs_of(part, size)
    times = latencies(model, inputs)
    return Measured(
        part=part,
        input_size=list(size),
        parameters=sum(each.numel() for each in model.parameters()),
        multiply_adds=multiply_adds(model, inputs),
        fastest_ms=round(1000 * min(times), 2),
        median_ms=round(1000 * statistics.median(times), 2),
        runs=len(times),
        cpu=processor(),
        torch=torch.__version__.partition('+')[0],
    )


def build(cfg: Config) -> nn.Module:
    """The model of a config, in the scope of its library, with random weights."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        return MODELS.build(cfg.model)


def inputs_of(part: str, size: tuple[int, int]) -> tuple:
    """Arguments for one forward pass: an image of (h, w), and what detectors need."""
    images = torch.zeros(1, 3, *size)
    if part == 'backbone':
        return (images,)
    shapes = ('img_shape', 'ori_shape', 'pad_shape', 'batch_input_shape')
    about = dict.fromkeys(shapes, size) | dict(scale_factor=(1.0, 1.0))
    return images, [BaseDataElement(metainfo=about)]


@torch.no_grad()
def multiply_adds(model: nn.Module, inputs: tuple) -> int:
    """Multiply-adds of convolutions, linear layers and attention in one pass.

    PyTorch counts, two FLOPs per multiply-add. It does not know the fused attention of
    CPUs (nor does MMEngine's counter), so attention is computed step by step.
    """
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(*inputs)
    return counter.get_total_flops() // 2


@torch.no_grad()
def latencies(model: nn.Module, inputs: tuple) -> list[float]:
    """CPU seconds of this thread for each of some forward passes.

    Not the time that passes, which depends on what else the machine does.
    """
    model(*inputs)  # first passes allocate
    first = _timed(model, inputs)
    runs = max(FEWEST, int(SECONDS / first))
    return [_timed(model, inputs) for _ in range(runs)]


def _timed(model: nn.Module, inputs: tuple) -> float:
    start = time.thread_time()
    model(*inputs)
    return time.thread_time() - start


def processor() -> str:
    """Name of the processor, as Linux knows it; its architecture elsewhere."""
    known = Path('/proc/cpuinfo')
    text = known.read_text() if known.exists() else ''
    found = re.search(r'^model name\s*:\s*(.+)$', text, re.MULTILINE)
    return found[1] if found else platform.machine()
