"""Measurements of data loading, for tools/benchmark.py."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from rich.progress import track
from torch.utils.data import DataLoader, Dataset

from saip_mm.data import PeopleDataset, SyntheticPeople

from .performance import WARM_UP, Spread, interleave, median_and_range, now


def draw_files(folder: str, number: int, size: tuple[int, int]) -> list[str]:
    """Draw people of (h, w) pixels as JPEG files; returns their paths, sorted."""
    people = SyntheticPeople(number, 1, size=size)
    paths = [f'{folder}/{i:04}.jpg' for i in range(number)]
    for index, path in enumerate(paths):
        image = people.load_image(people.get_data_info(index))
        Image.fromarray(image).save(path, quality=95)
    return paths


def measure_samples(
    sides: dict[str, Callable[[int], object]], number: int, rounds: int
) -> dict[str, Spread]:
    """Seconds per sample of each side, a function of an index, with one thread."""

    def load(sample: Callable[[int], object]) -> Iterator[str]:
        for index in range(number):
            sample(index)
        yield 'samples'

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    steps = {side: lambda s=sample: load(s) for side, sample in sides.items()}
    found = interleave('samples', steps, rounds)
    torch.set_num_threads(threads)
    return {
        side: [seconds / number for seconds in each['total']]
        for side, each in found.items()
    }


def measure_training(
    loader: DataLoader, step: Callable[[int, dict], None]
) -> dict[str, float]:
    """Train for all batches: images per second, and the share of time spent waiting.

    Args:
        loader: Its workers start before the clock does.
        step: Function of a step's number and batch.
    """
    batches, waited, began = iter(loader), 0.0, now()
    for number in track(range(len(loader)), 'training'):
        if number == WARM_UP:
            waited, began = 0.0, now()
        asked = now()
        batch = next(batches)
        waited += now() - asked
        step(number, batch)
    seconds, images = now() - began, (len(loader) - WARM_UP) * loader.batch_size
    return dict(images_per_s=images / seconds, waiting=waited / seconds)


class _Sizes(Dataset):
    """Data set that reads images but returns their sizes, which transfer fast."""

    def __init__(self, images: PeopleDataset) -> None:
        self.images = images

    def __getitem__(self, index: int) -> int:
        return self.images.load_image(self.images.get_data_info(index)).size

    def __len__(self) -> int:
        return len(self.images)


def measure_reading(
    images: PeopleDataset, workers: int, rounds: int
) -> dict[str, Sequence[float]]:
    """Read all images in random order, without views.

    Returns:
        Images per second; the private memory of a worker in MiB after a tenth of the
        images and at the end, which should not grow.
    """

    def private_mib(process: int) -> float:
        lines = Path(f'/proc/{process}/smaps_rollup').read_text().splitlines()
        private = [line.split() for line in lines if line.startswith('Private')]
        return sum(int(size) for _, size, _ in private) / 1024

    speeds = []
    for _ in range(rounds):
        order = np.random.default_rng(0).permutation(len(images)).tolist()
        loader = DataLoader(_Sizes(images), 256, sampler=order, num_workers=workers)
        batches = iter(loader)
        began, memory = now(), []
        for number in track(range(len(loader)), 'reading'):
            if number in (len(loader) // 10, len(loader) - 1):
                memory.append(max(private_mib(w.pid) for w in batches._workers))
            next(batches)
        speeds.append(len(images) / (now() - began))
    return dict(
        images_per_s=median_and_range(speeds), private_mib=[memory[0], memory[-1]]
    )
