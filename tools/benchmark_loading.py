"""Measure speed and memory of reading images from folders, lists or shards.

    python tools/benchmark_loading.py data/people data/people_shards --workers 2

Reads all images of each source in the same random order, alternating between sources,
with data-loader workers but without views. Prints images per second, and a worker's
private memory after a tenth of the images and at the end, which should not grow.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger
from rich.progress import track
from torch.utils.data import DataLoader, Dataset

from saip_mm.data import PeopleDataset
from saip_mm.errors import one_line_errors
from saip_mm.training.config import training_images

BATCH = 256


class Sizes(Dataset):
    """Data set that reads images but returns their sizes, which transfer fast."""

    def __init__(self, images: PeopleDataset) -> None:
        self.images = images

    def __getitem__(self, index: int) -> int:
        return self.images.load_image(self.images.get_data_info(index)).size

    def __len__(self) -> int:
        return len(self.images)


def private_memory(process: int) -> float:
    """Return the private memory of a process in MiB (Linux)."""
    lines = Path(f'/proc/{process}/smaps_rollup').read_text().splitlines()
    private = [line.split() for line in lines if line.startswith('Private')]
    return sum(int(size) for _, size, _ in private) / 1024


def read_all(images: PeopleDataset, workers: int, name: str) -> tuple[float, ...]:
    """Return images per second, and a worker's memory after a tenth and at the end."""
    order = np.random.default_rng(0).permutation(len(images)).tolist()
    loader = DataLoader(Sizes(images), BATCH, sampler=order, num_workers=workers)
    batches = iter(loader)
    started, memory = time.perf_counter(), []
    for number in track(range(len(loader)), name):
        if number in (len(loader) // 10, len(loader) - 1):
            memory.append(max(private_memory(each.pid) for each in batches._workers))
        next(batches)
    return len(images) / (time.perf_counter() - started), memory[0], memory[-1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('sources', nargs='+', help='folders, lists, shards or configs')
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=3)
    args = parser.parse_args()
    if args.workers < 1 or args.rounds < 1:
        parser.error('--workers and --rounds should be at least 1')
    MMLogger.get_current_instance().setLevel('ERROR')
    sources = {name: training_images(name, {}) for name in args.sources}
    figures = {name: [] for name in sources}
    for _ in range(args.rounds):
        for name, images in sources.items():
            figures[name].append(read_all(images, args.workers, name))
    print('| source | images | images/s | private MiB of a worker: first, last |')
    print('| --- | ---: | ---: | ---: |')
    for name, rounds in figures.items():
        speed, first, last = np.median(rounds, axis=0)
        count = len(sources[name])
        print(f'| {name} | {count} | {speed:.0f} | {first:.0f}, {last:.0f} |')


if __name__ == '__main__':
    with one_line_errors():
        main()
