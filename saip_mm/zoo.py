"""The model zoo: OpenMMLab's metafiles and a table of trained models.

``metafile.yml`` next to the configs records data, size, speed, results and weights of
each. ``docs/model_zoo.md`` lists the trained ones.
"""

import json
import math
import platform
import re
import time
from collections.abc import Callable
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

from .checkpoints.files import resolve_checkpoint
from .checkpoints.kept_config import parse_config
from .evaluation.rows import digest
from .files import sha256, write_text

PAGE = Path('docs/model_zoo.md')
BEGIN, END = '<!-- table -->\n', '<!-- end of the table -->\n'
HEADER = '# Written by tools/model_zoo.py; names and data sets are edited by hand.\n'
# OpenMMLab's name of the task by folder, and the metrics to take from logs.
TASKS = dict(
    pretrain='Self-Supervised Pretraining',
    reid='Re-Identification',
    attributes='Pedestrian Attribute Recognition',
    pose='Body 2D Keypoint',
    detection='Object Detection',
    parsing='Semantic Segmentation',
)
METRICS = dict(
    pretrain='reid/mAP attributes/mA parts/mIoU keypoints/PCK',
    reid='reid/rank1 reid/mAP',
    attributes='attributes/mA attributes/F1',
    pose='coco/AP coco/AR coco-wholebody/AP',
    detection='coco/bbox_mAP crowd_human/mAP crowd_human/mMR crowd_human/JI',
    parsing='mIoU',
)
PER_CENT = ('mIoU',)  # as MMSegmentation logs it; all others are shares of 1


def read_models(root: Path) -> list[dict]:
    """Entries of all metafiles, in the order of ``model-index.yml``."""
    index = _read(root / 'model-index.yml', yaml.safe_load)
    files = [_read(root / path, yaml.safe_load) for path in index['Import']]
    return [model for file in files for model in file['Models']]


def update(root: Path, config: Path, changes: dict) -> None:
    """Update a config's entry in its metafile; ``Metadata`` is merged."""
    path = root / config.parent / 'metafile.yml'
    content = _read(path, yaml.safe_load)
    (model,) = [each for each in content['Models'] if each['Config'] == str(config)]
    model.update(changes, Metadata=model['Metadata'] | changes.get('Metadata', {}))
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    write_text(path, HEADER + text)


def measure(cfg: Config, seconds: float = 10.0) -> dict:
    """Count and time a model with random weights on one image: ``Metadata``.

    For a pretraining config, only the backbone. Images have the size of the position
    embeddings. Models run as their libraries count FLOPs (``mode='tensor'``): one pass
    without flips or decoding, with as many proposals as the config allows. The latency
    is measured for ``seconds`` of CPU time.

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
        'hardware': f'one thread of {_processor()}',
        'backend': f'PyTorch {torch.__version__.partition("+")[0]}',
        'batch size': 1,
        'mode': 'FP32',
        'resolution': f'({size[0]}, {size[1]})',
    }
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {'FLOPs': flops, 'Parameters': parameters, 'inference time (ms/im)': [speed]}


def build(cfg: Config) -> nn.Module:
    """The model of a config, in the scope of its library, with random weights."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        return MODELS.build(cfg.model)


@torch.no_grad()
def count_multiply_adds(model: nn.Module, inputs: list) -> int:
    """OpenMMLab's "FLOPs" of convolutions, linear layers and attention in one pass."""
    # PyTorch's counter, like MMEngine's, omits fused attention on CPUs.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(*inputs)
    return counter.get_total_flops() // 2


def read_run(cfg: Config, folder: Path, dataset: str, url: str = '') -> dict:
    """Results and weights of a run, for its entry in the metafile.

    Args:
        cfg: Config of the run.
        folder: Output folder of ``tools/test.py`` (``work_dirs/NAME/TIME``), or the
            folder of one seed by ``tools/compare.py``.
        dataset: Name of the test data.
        url: Download URL of the weights.
    """
    log = folder / 'result.json'
    if log.exists():
        result = _read(log, json.loads)
        if result.get('config_sha256') != digest(cfg):
            raise ValueError(f'{log} was made with another config')
        found, weights = result.get('probes', {}), resolve_checkpoint(folder)
    else:
        log, ran = folder / f'{folder.name}.json', folder / 'vis_data/config.py'
        for path in (log, ran):
            if not path.exists():
                raise FileNotFoundError(f'{path} is missing: {folder} is not a test')
        tested = parse_config(ran.read_text('utf-8'), str(ran))
        for name, here in _what_counts(cfg).items():
            if _what_counts(tested)[name] != here:
                raise ValueError(f'{ran}: the {name} differs from the config')
        found, weights = _read(log, json.loads), resolve_checkpoint(tested.load_from)
    task = Path(cfg.filename).parent.name
    names = METRICS[task].split()
    values = {name: found[name] for name in names if name in found}
    if not values or not all(map(math.isfinite, values.values())):
        raise ValueError(f'{log} has no finite {", ".join(names)}')
    metrics = {
        name.rpartition('/')[2]: round(value * (1 if name in PER_CENT else 100), 2)
        for name, value in values.items()
    }
    changes = {
        'Results': [dict(Task=TASKS[task], Dataset=dataset, Metrics=metrics)],
        'Weights SHA-256': sha256(weights),
        'Log SHA-256': sha256(log),
    }
    return changes | (dict(Weights=url) if url else {})


def write_page(root: Path) -> None:
    """Update the table of trained models."""
    text = (root / PAGE).read_text('utf-8')
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f'{PAGE} lacks the markers {BEGIN.strip()}, {END.strip()}')
    write_text(
        root / PAGE, f'{before}{BEGIN}\n{table(read_models(root))}\n{END}{after}'
    )


def table(models: list[dict]) -> str:
    """Markdown table of the models that have results."""
    rows = [_row(model) for model in models if model.get('Results')]
    if not rows:
        return 'No results yet.\n'
    header = ['config', 'data', 'input, h×w', 'parameters, M', 'multiply-adds, G']
    header += ['latency, ms', 'result, %', 'weights, SHA-256']
    lines = [header, ['---'] * len(header), *rows]
    return ''.join(f'| {" | ".join(cells)} |\n' for cells in lines)


def _row(model: dict) -> list[str]:
    (result,), metadata = model['Results'], model['Metadata']
    (speed,) = metadata['inference time (ms/im)']
    weights = f'`{model["Weights SHA-256"][:8]}`'
    return [
        f'[`{model["Name"]}`](../{model["Config"]})',
        result['Dataset'],
        speed['resolution'].strip('()').replace(', ', '×'),
        f'{metadata["Parameters"] / 1e6:.2f}',
        f'{metadata["FLOPs"] / 1e9:.2f}',
        f'{speed["value"]:.0f}',
        ', '.join(f'{name} {value:.1f}' for name, value in result['Metrics'].items()),
        f'[{weights}]({model["Weights"]})' if 'Weights' in model else weights,
    ]


def _what_counts(cfg: Config) -> dict:
    """Settings that affect results, as plain data."""
    model = json.loads(json.dumps(cfg.model.to_dict()))
    model.get('backbone', {}).pop('init_cfg', None)
    pipeline = cfg.test_dataloader.dataset.get('pipeline')
    return dict(model=model, pipeline=json.loads(json.dumps(pipeline)))


def _read(path: Path, parse: Callable[[str], object]) -> dict:
    try:
        return dict(parse(path.read_text('utf-8')))
    except (TypeError, ValueError, yaml.YAMLError) as error:
        raise ValueError(f'{path} cannot be read: {error}') from error


def _processor() -> str:
    """Name of the processor on Linux, its architecture elsewhere."""
    known = Path('/proc/cpuinfo')
    text = known.read_text() if known.exists() else ''
    found = re.search(r'^model name\s*:\s*(.+)$', text, re.MULTILINE)
    return found[1] if found else platform.machine()
