"""Training steps of SAIP, for tools/benchmark.py."""

from collections.abc import Iterator
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmpretrain.registry import MODELS, TRANSFORMS
from rich.progress import track
from torch import Tensor, distributed, nn
from torch.futures import Future
from torch.nn.parallel import DistributedDataParallel

from saip_mm.data import DrawViews
from saip_mm.data.configs import pipeline_of
from saip_mm.models import SAIP

from .performance import WARM_UP, Spread, Step, median_and_range, now, timed

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
SIDES = ('plain', 'ours', 'cached')
WRAPPERS = dict(fp32='OptimWrapper', bf16='BFloat16OptimWrapper')


def build_model(cfg: Config, cache: str | None = None) -> SAIP:
    """The model of a config, the same in every call, and its teacher's cache."""
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    heads = [getattr(model, h, None) for h in ('matching', 'reconstruction', 'search')]
    if getattr(model, 'distillation', None):
        model.distillation.teacher.cache = cache
    elif None in heads:
        raise ValueError(
            f'{cfg.filename}: steps are measured of a SAIP with its three heads, or '
            'with a DistillationHead; choose such a config'
        )
    model.init_weights()
    return model.to(DEVICE).train()


def sides(cfg: Config) -> list[str]:
    """What can be measured; the plain implementation is that of a ViT, and has no
    frozen teacher."""
    if cfg.model.get('distillation'):
        return ['ours', 'cached']
    return ['plain', 'ours'] if cfg.model.backbone.type == 'SAIPViT' else ['ours']


def drawing(cfg: Config) -> DrawViews:
    return TRANSFORMS.build(pipeline_of(cfg.train_dataloader.dataset)[0])


def draw_inputs(cfg: Config, model: SAIP, batch: int) -> dict[str, Tensor]:
    """Inputs of ``SAIP.loss``: random pixels at the middle scales of the config."""
    draw, patch = drawing(cfg), model.data_preprocessor.patch_size

    def pixels(*shape: int) -> Tensor:
        return torch.randint(0, 256, (batch, *shape), dtype=torch.uint8)

    tokens = [
        [side // patch for side in s] for s in (draw.global_size, draw.scene_size)
    ]
    inputs = dict(
        globals=pixels(2, 3, *draw.global_size),
        locals=pixels(draw.num_locals, 3, *draw.local_size),
        roi=pixels(3, *draw.local_size),
        inst=pixels(3, *draw.local_size),
        scene=pixels(3, *draw.scene_size),
        csr_noise=torch.rand(batch, *tokens[0]),
        scene_masks=torch.rand(batch, 2, *tokens[1]) > 0.9,
    )
    scales = sorted(model.data_preprocessor.scales)
    middle = scales[len(scales) // 2], scales[(len(scales) - 1) // 2]
    return model.data_preprocessor(dict(inputs=inputs, scales=middle))['inputs']


def build_wrapper(cfg: Config, model: SAIP, precision: str) -> OptimWrapper:
    config = cfg.optim_wrapper.to_dict() | dict(type=WRAPPERS[precision])
    return build_optim_wrapper(model, config)


def our_step(model: SAIP, wrapper: OptimWrapper, inputs: dict) -> Iterator[str]:
    """A step, which yields the names of its phases at their ends."""
    with wrapper.optim_context(model):
        losses = model.loss(inputs)
    yield 'forward'
    wrapper.backward(sum(v for name, v in losses.items() if 'loss' in name))
    yield 'backward'
    wrapper.step()
    wrapper.zero_grad()
    yield 'optimizer'
    model.update_teacher(0.99)
    if model.matching:
        model.matching.update_center(losses['teacher_mean'])
    yield 'teacher'


def measure_modules(
    model: SAIP, wrapper: OptimWrapper, inputs: dict, rounds: int
) -> dict[str, Spread]:
    """Seconds of forward passes by module."""
    spent = {}

    def watch(name: str, module: nn.Module) -> None:
        def add(amount: float) -> None:
            spent[name] = spent.get(name, 0) + amount

        module.register_forward_pre_hook(lambda *_: add(-now()))
        module.register_forward_hook(lambda *_: add(now()))

    watch('teacher encoder', model.teacher['encoder'])
    watch('student encoder', model.student['encoder'])
    if model.matching:
        watch('projectors', model.teacher['projector'])
        watch('projectors', model.matching.projector)
    if model.distillation:
        watch('distillation teacher', model.distillation.teacher.network)
    for name in ('reconstruction', 'search'):
        if head := getattr(model, name):
            watch(f'{name} decoder', head)
    found = []
    for _ in track(range(WARM_UP + rounds), 'parts of a step'):
        spent.clear()
        forward = timed(our_step(model, wrapper, inputs))['forward']
        found.append(spent | dict(losses=forward - sum(spent.values())))
    return {
        name: median_and_range([f[name] for f in found[WARM_UP:]]) for name in found[0]
    }


def peak_memory(make_step: Step) -> int:
    """Bytes allocated at the peak of a step, including weights and optimizer.

    Args:
        make_step: Returns a step; nothing may be allocated before. (On a CPU the
            process's resident memory is measured, on Linux only.)
    """

    def resident(name: str) -> int:
        status = Path('/proc/self/status').read_text()
        return int(status.partition(f'{name}:')[2].split()[0]) * 1024

    before = resident('VmRSS')
    step = make_step()
    timed(step())  # creates the optimizer's state
    if DEVICE == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        timed(step())
        return torch.cuda.max_memory_allocated()
    Path('/proc/self/clear_refs').write_text('5')  # resets VmHWM
    timed(step())
    return resident('VmHWM') - before


def bytes_all_reduced(cfg: Config) -> dict[str, int]:
    """Bytes that a process hands to all-reduce in a step of distributed training."""
    store = distributed.HashStore()
    distributed.init_process_group('gloo', store=store, rank=0, world_size=1)
    try:
        model, sizes = build_model(cfg), []

        def count(state: None, bucket: distributed.GradBucket) -> Future[torch.Tensor]:
            sizes.append(bucket.buffer().nbytes)
            done = Future()
            done.set_result(bucket.buffer())
            return done

        unused = cfg.get('find_unused_parameters', False)
        parallel = DistributedDataParallel(
            model, broadcast_buffers=False, find_unused_parameters=unused
        )
        parallel.register_comm_hook(None, count)
        losses = parallel(draw_inputs(cfg, model, 2), mode='loss')
        sum(v for name, v in losses.items() if 'loss' in name).backward()
    finally:
        distributed.destroy_process_group()
    center = model.matching.center.nbytes if model.matching else 0
    return dict(gradients=sum(sizes), center=center)
