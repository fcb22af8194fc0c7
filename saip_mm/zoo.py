"""The model zoo: OpenMMLab's metafiles and a table of trained models.

``metafile.yml`` next to configs records the data, size and speed of each and, edited by
hand, results and weights. ``docs/model_zoo.md`` lists the configs with results.
"""

import time
from pathlib import Path

import torch
import yaml
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import BaseDataElement
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from .evaluation.compute import processor
from .files import write_text

PAGE = Path('docs/model_zoo.md')
BEGIN, END = '<!-- table -->\n', '<!-- end of the table -->\n'
HEADER = '# Written by tools/model_zoo.py; other lines are edited by hand.\n'


def read_models(root: Path) -> list[dict]:
    """Entries of all metafiles, in the order of ``model-index.yml``."""
    index = _read(root / 'model-index.yml')
    return [model for path in index['Import'] for model in _read(root / path)['Models']]


def update(root: Path, config: Path, metadata: dict) -> None:
    """Update the ``Metadata`` of a config's entry in its metafile."""
    path = root / config.parent / 'metafile.yml'
    content = _read(path)
    (model,) = [each for each in content['Models'] if each['Config'] == str(config)]
    model['Metadata'] |= metadata
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    write_text(path, HEADER + text)


def measure(cfg: Config, seconds: float = 10.0) -> dict:
    """Count and time a model with random weights on one image; return ``Metadata``.

    For a pretraining config, only the backbone is measured. Images have the size of the
    position embeddings. Models run as their libraries count FLOPs (``mode='tensor'``):
    one pass without flips or decoding, with as many proposals as the config allows. The
    latency is measured for ``seconds`` of CPU time.
    """
    model = build(cfg)
    size = tuple(cfg.model.backbone.img_size)
    inputs = [torch.zeros(1, 3, *size)]
    if cfg.get('test_dataloader'):
        shapes = ('img_shape', 'ori_shape', 'pad_shape', 'batch_input_shape')
        about = dict.fromkeys(shapes, size) | dict(scale_factor=(1.0, 1.0))
        inputs.append([BaseDataElement(metainfo=about)])
    else:
        model = model.backbone
    model.eval()
    timer = Timer(
        'model(*inputs)',
        globals=dict(model=model, inputs=inputs),
        timer=time.thread_time,
    )
    with torch.no_grad():
        flops = count_multiply_adds(model, inputs)
        latency = 1000 * timer.blocked_autorange(min_run_time=seconds).median
    speed = {
        'value': round(latency, 2),
        'hardware': f'one thread of {processor()}',
        'backend': f'PyTorch {torch.__version__.partition("+")[0]}',
        'batch size': 1,
        'mode': 'FP32',
        'resolution': f'({size[0]}, {size[1]})',
    }
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {'FLOPs': flops, 'Parameters': parameters, 'inference time (ms/im)': [speed]}


def build(cfg: Config) -> nn.Module:
    """The model of a config, in the scope of its library, with random weights."""
    scope = DefaultScope.overwrite_default_scope(cfg.get('default_scope'))
    with torch.random.fork_rng([]), scope:
        torch.manual_seed(0)
        return MODELS.build(cfg.model)


@torch.no_grad()
def count_multiply_adds(model: nn.Module, inputs: list) -> int:
    """OpenMMLab's "FLOPs" of convolutions, linear layers and attention in one pass."""
    # PyTorch's counter, like MMEngine's, omits fused attention on CPUs.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(*inputs)
    return counter.get_total_flops() // 2


def write_page(root: Path) -> None:
    """Update the table of trained models."""
    before, begin, rest = (root / PAGE).read_text('utf-8').partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f'{PAGE} lacks the markers {BEGIN.strip()}, {END.strip()}')
    text = f'{before}{BEGIN}\n{table(read_models(root))}\n{END}{after}'
    write_text(root / PAGE, text)


def table(models: list[dict]) -> str:
    """Markdown table of the models that have results."""
    rows = [
        _row(model, each) for model in models for each in model.get('Results') or ()
    ]
    if not rows:
        return 'No results yet.\n'
    lines = [rows[0].keys(), ['---'] * len(rows[0]), *(row.values() for row in rows)]
    return ''.join(f'| {" | ".join(cells)} |\n' for cells in lines)


def _row(model: dict, result: dict) -> dict[str, str]:
    metadata = model['Metadata']
    (speed,) = metadata['inference time (ms/im)']
    metrics = (f'{name} {value:.1f}' for name, value in result['Metrics'].items())
    return {
        'config': f'[`{model["Name"]}`](../{model["Config"]})',
        'data': result['Dataset'],
        'input, h×w': speed['resolution'].strip('()').replace(', ', '×'),
        'parameters, M': f'{metadata["Parameters"] / 1e6:.2f}',
        'multiply-adds, G': f'{metadata["FLOPs"] / 1e9:.2f}',
        'latency, ms': f'{speed["value"]:.0f}',
        'result, %': ', '.join(metrics),
        'weights': _weights(model),
    }


def _weights(model: dict) -> str:
    if 'Packaged' in model:
        return f'`{model["Packaged"]}` in the package'
    return f'[file]({model["Weights"]})' if 'Weights' in model else '–'


def _read(path: Path) -> dict:
    try:
        return dict(yaml.safe_load(path.read_text('utf-8')))
    except (TypeError, ValueError, yaml.YAMLError) as error:
        raise ValueError(f'{path} cannot be read: {error}') from error
