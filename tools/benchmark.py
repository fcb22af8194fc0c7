"""Measure pretraining against the plain implementation in tests/.

    python tools/benchmark.py configs/pretrain/saip_demo.py --out demo.json
    python tools/benchmark.py --render docs/performance.md demo.json

Uses the GPU if there is one. After a warm-up, both sides of a comparison take turns;
results are medians with the lowest and the highest value. Steps use random pixels at
the middle scales of the config; loaders use drawn people, as JPEG files of the size of
a global view. The plain implementation has only a ViT: other backbones are measured
alone. With a frozen teacher, "ours" computes the teacher's outputs, and "cached" reads
them from disk. Other parts in the file OUT are kept, and so is text above the results.
"""

import argparse
import atexit
import json
import multiprocessing
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

sys.path.append(str(Path(__file__).parents[1] / 'tests'))
import plain_step
import plain_views
from benchmarks import loading, steps
from benchmarks.performance import Step, interleave, render, timed

from saip_mm import __version__
from saip_mm.data import ApplyViews, PersonImages
from saip_mm.data.configs import pipeline_of
from saip_mm.errors import one_line_errors, script_parser
from saip_mm.evaluation.compute import processor
from saip_mm.files import check_writable, read_json, write_text
from saip_mm.processes import START_METHOD, count
from saip_mm.training.config import add_options, load_config, training_images
from saip_mm.training.loaders import build_loader
from saip_mm.training.optimizer import has_bfloat16

DTYPES = dict(fp32=torch.float32, bf16=torch.bfloat16)


def make_step(side: str, cfg: Config, precision: str, batch: int) -> Step:
    cache = None
    if side == 'cached':  # filled by the warm-up
        folder = tempfile.TemporaryDirectory()
        atexit.register(folder.cleanup)
        cache = folder.name
    model = steps.build_model(cfg, cache)
    inputs = steps.draw_inputs(cfg, model, batch)
    if side == 'plain':
        return plain_step.make(model, inputs, DTYPES[precision])
    wrapper = steps.build_wrapper(cfg, model, precision)
    return lambda: steps.our_step(model, wrapper, inputs)


def kinds(cfg: Config, args: argparse.Namespace) -> Iterator[dict]:
    """What steps are measured for."""
    for batch, precision in product(args.batch_size, args.precision):
        for side in steps.sides(cfg):
            yield dict(side=side, precision=precision, batch=batch)


def step_times(cfg: Config, args: argparse.Namespace) -> list[dict]:
    turns = {tuple(k.values()): make_step(cfg=cfg, **k) for k in kinds(cfg, args)}
    found = interleave('steps', turns, args.rounds)
    return [dict(k, seconds=found[tuple(k.values())]) for k in kinds(cfg, args)]


def memory(cfg: Config, args: argparse.Namespace) -> list[dict]:
    """Peaks of steps, in processes of their own, without the memory of the imports."""
    return [dict(k, peak_bytes=peak_memory(args, **k)) for k in kinds(cfg, args)]


def peak_memory(args: argparse.Namespace, side: str, precision: str, batch: int) -> int:
    options = ['--peak', side, '--precision', precision, '--batch-size', str(batch)]
    if args.cfg_options:
        options += ['--cfg-options', *(f'{k}={v}' for k, v in args.cfg_options)]
    command = [sys.executable, __file__, *args.files, *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout.split()[-1])


def parts(cfg: Config, args: argparse.Namespace) -> list[dict]:
    """Forward passes by module."""
    rows, batch = [], args.batch_size[-1]
    for precision in args.precision:
        model = steps.build_model(cfg)
        wrapper = steps.build_wrapper(cfg, model, precision)
        inputs = steps.draw_inputs(cfg, model, batch)
        seconds = steps.measure_modules(model, wrapper, inputs, args.rounds)
        rows.append(dict(precision=precision, batch=batch, seconds=seconds))
    return rows


def flop_per_image(cfg: Config, args: argparse.Namespace) -> dict[str, float]:
    """Floating-point operations, of the plain path if any, as PyTorch counts them."""
    step, phases, counted = make_step(steps.sides(cfg)[0], cfg, 'fp32', 2), {}, 0
    with FlopCounterMode(display=False) as counter:
        for phase in step():
            phases[phase] = (counter.get_total_flops() - counted) / 2
            counted = counter.get_total_flops()
    return phases | dict(total=counted / 2)


def matmul_flop_per_s(cfg: Config, args: argparse.Namespace) -> dict[str, float]:
    """Operations per second of the product of two large matrices."""
    size, peaks = 8192 if steps.DEVICE == 'cuda' else 2048, {}
    for precision in args.precision:
        matrix = torch.randn(size, size, device=steps.DEVICE, dtype=DTYPES[precision])

        def multiply(matrix: Tensor = matrix) -> Iterator[str]:
            matrix @ matrix
            yield 'product'

        found = interleave(
            f'matrices, {precision}', dict(product=multiply), args.rounds
        )
        peaks[precision] = 2 * size**3 / found['product']['total'][1]
    return peaks


def data(cfg: Config, args: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of a sample, from JPEG files to views, on one core."""
    draw = steps.drawing(cfg)
    pipeline = [*pipeline_of(cfg.train_dataloader.dataset)[:-1], ApplyViews()]
    with tempfile.TemporaryDirectory() as folder:
        paths = loading.draw_files(folder, 16, draw.global_size)
        sides = dict(
            plain=lambda index: plain_views.sample(paths, index, draw.transform),
            ours=PersonImages(folder, pipeline=pipeline).__getitem__,
        )
        return loading.measure_samples(sides, len(paths), args.rounds)


def training(cfg: Config, args: argparse.Namespace) -> list[dict]:
    """Steps with the config's loader."""
    rows = []
    for batch, precision in product(args.batch_size, args.precision):
        model = steps.build_model(cfg)
        wrapper = steps.build_wrapper(cfg, model, precision)

        def step(number: int, batch: dict, model=model, wrapper=wrapper) -> None:
            batch['scales'] = model.data_preprocessor.draw_scales(0, number)
            timed(
                steps.our_step(model, wrapper, model.data_preprocessor(batch)['inputs'])
            )

        with tempfile.TemporaryDirectory() as folder:
            paths = loading.draw_files(folder, 32, steps.drawing(cfg).global_size)
            # Workers may have made two each before the clock starts.
            batches = loading.WARM_UP + args.rounds * 2 * args.workers
            number = batches * batch
            lines = (paths * (number // len(paths) + 1))[:number]
            Path(folder, 'list.txt').write_text('\n'.join(lines))
            config = cfg.train_dataloader.to_dict() | dict(batch_size=batch)
            config['num_workers'] = args.workers
            config['dataset'] = dict(
                type='PersonImages',
                data_root=folder,
                ann_file='list.txt',
                pipeline=pipeline_of(config['dataset']),
            )
            row = loading.measure_training(build_loader(config, seed=0), step)
        row |= dict(precision=precision, batch=batch, workers=args.workers)
        rows.append(row)
    return rows


def reading(cfg: Config, args: argparse.Namespace) -> list[dict]:
    """Reading folders, lists or shards of images, without views."""
    return [
        dict(source=Path(source).name, images=len(images))
        | loading.measure_reading(images, args.workers, args.rounds)
        for source, images in ((s, training_images(s)) for s in args.data)
    ]


PARTS = dict(
    flop_per_image=flop_per_image,
    matmul_flop_per_s=matmul_flop_per_s,
    steps=step_times,
    memory=memory,
    parts=parts,
    data=data,
    training=training,
    allreduce=lambda cfg, args: steps.bytes_all_reduced(cfg),
    reading=reading,
)


def machine() -> str:
    """Processor or GPU, and versions."""
    gpu = steps.DEVICE == 'cuda'
    return (
        f'{torch.cuda.get_device_name() if gpu else processor()}, '
        f'{torch.get_num_threads()} threads, PyTorch {torch.__version__}, '
        f'Python {platform.python_version()}, saip_mm {__version__}'
    )


def parse_args() -> argparse.Namespace:
    parser = script_parser(__doc__)
    parser.add_argument('files', nargs='+', help='a config, or results to render')
    parser.add_argument('--out', type=Path, help='file of results (JSON)')
    parser.add_argument('--render', type=Path, help='Markdown file to write')
    parser.add_argument('--parts', nargs='+', choices=PARTS, help='default: all')
    precisions = [*DTYPES] if has_bfloat16(steps.DEVICE) else ['fp32']
    parser.add_argument(
        '--precision', nargs='+', choices=precisions, default=precisions
    )
    parser.add_argument('--batch-size', nargs='+', type=count, default=[4])
    parser.add_argument('--rounds', type=count, default=7)
    parser.add_argument('--workers', type=count, default=2, help='per data loader')
    parser.add_argument(
        '--data', nargs='+', default=[], help='folders or shards, for the part reading'
    )
    parser.add_argument('--peak', choices=steps.SIDES, help=argparse.SUPPRESS)
    add_options(parser)
    args = parser.parse_args()
    if not (args.render or args.peak) and (args.out is None or len(args.files) > 1):
        parser.error('give one config and --out FILE, or --render FILE and results')
    if args.render and args.render.suffix != '.md':
        parser.error(f'--render {args.render}: name a Markdown file, such as speed.md')
    if 'reading' in (args.parts or ()) and not args.data:
        parser.error('the part reading needs --data')
    args.parts = args.parts or [
        name for name in PARTS if name != 'reading' or args.data
    ]
    return args


def main() -> None:
    args = parse_args()
    MMLogger.get_current_instance().setLevel('ERROR')
    if args.render:
        return render(args.render, [read_json(file) for file in args.files])
    if args.out:
        check_writable(args.out)
    cfg = load_config(args.files[0], args.cfg_options)
    init_default_scope('mmpretrain')
    multiprocessing.set_start_method(START_METHOD, force=True)  # as in training
    if args.peak:
        return print(
            steps.peak_memory(
                lambda: make_step(args.peak, cfg, args.precision[0], *args.batch_size)
            )
        )
    options = (f'{key}={value}' for key, value in args.cfg_options or ())
    config = ' '.join([Path(cfg.filename).name, *options])
    about = dict(config=config, machine=machine(), commands={})
    results = read_json(args.out) if args.out.exists() else about
    for name in ('config', 'machine'):
        if results[name] != about[name]:
            raise ValueError(
                f'{args.out} has results of {results[name]}, this is {about[name]}: '
                'choose another file'
            )
    for name in args.parts:
        results[name] = PARTS[name](cfg, args)
        results['commands'][name] = f'python {shlex.join(sys.argv)}'
        write_text(args.out, json.dumps(results, indent=1) + '\n')


if __name__ == '__main__':
    with one_line_errors():
        main()
