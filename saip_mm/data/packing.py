"""Packing images into few large files."""

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ..files import whole_file, write_text
from .images import ImageError
from .people import PeopleDataset
from .processes import forked_pool
from .sharded_images import INDEX, PLAN, is_whole, litdata

PARTS = 'parts'  # the folder with what is known of every shard until all are there
BAD = 'bad_images.jsonl'
MOST_BYTES = 3 << 30  # of a shard: LitData counts them in 32 bits


def pack_shards(
    dataset: PeopleDataset,
    out: str | os.PathLike,
    images_per_shard: int,
    processes: int,
    track: Callable[[Iterable, int], Iterable],
) -> tuple[int, int]:
    """Pack images into shards that ShardedImages reads, in the same order.

    An image file is kept as it is, other images become PNG. What cannot be used is left
    out, and listed in ``bad_images.jsonl``. After an interruption, the same call writes
    the shards that are missing.

    Args:
        dataset: Where the images come from.
        out: Folder of the shards.
        images_per_shard: How many each holds, bad ones included.
        processes: How many shards are written at the same time.
        track: Shows the progress of an iterable of known length.

    Returns:
        How many images were packed, and how many left out.

    Raises:
        ValueError: If the folder holds shards of other images.
    """
    out = Path(out)
    starts = range(0, len(dataset), images_per_shard)
    _begin(dataset, out, images_per_shard)
    with forked_pool(processes, _share, dataset, out, images_per_shard) as pool:
        parts = list(track(pool.map(_pack_part, starts), len(starts)))
    bad = [entry for part in parts for entry in part['bad']]
    packed = [part for part in parts if part['shard']]
    if not packed:
        raise ValueError(f'{out}: none of {len(dataset)} images can be used')
    shards = [part['shard'] for part in packed]
    write_text(out / BAD, ''.join(f'{json.dumps(entry)}\n' for entry in bad))
    write_text(out / INDEX, json.dumps(dict(chunks=shards, config=packed[0]['config'])))
    return sum(shard['chunk_size'] for shard in shards), len(bad)


def _begin(dataset: PeopleDataset, out: Path, images_per_shard: int) -> None:
    """Note what is packed, or compare it with what the folder was begun with."""
    digest = hashlib.sha256()
    for index in range(len(dataset)):
        digest.update(os.fsencode(dataset.source(dataset.get_data_info(index))) + b'\n')
    settings = {
        name: value
        for name, value in vars(dataset).items()
        if isinstance(value, bool | int | float | str | tuple)
        and not name.startswith('_')
        and name not in ('data_root', 'ann_file')  # the names tell
    }
    plan = dict(
        settings,
        images=len(dataset),
        images_per_shard=images_per_shard,
        names_sha256=digest.hexdigest(),
    )
    path = out / PLAN
    if path.exists():
        try:
            begun = json.loads(path.read_text())
        except ValueError as error:
            raise ValueError(f'{path} is damaged ({error}); remove {out}') from error
        plan = json.loads(json.dumps(plan))  # tuples become lists
        other = [name for name in plan if plan[name] != begun.get(name)]
        if other:
            raise ValueError(
                f'{out} was begun with other images, or other settings of theirs '
                f'({", ".join(other)} in {path}); choose another folder, or remove it'
            )
    elif out.is_dir() and any(out.iterdir()):
        raise ValueError(f'{out} holds other files; choose another folder')
    else:
        write_text(path, json.dumps(plan, indent=1))


def _share(dataset: PeopleDataset, out: Path, images_per_shard: int) -> None:
    """Hand a worker process what all of its parts have in common."""
    global _dataset, _out, _images_per_shard
    _dataset, _out, _images_per_shard = dataset, out, images_per_shard


def _pack_part(start: int) -> dict:
    """Write a shard, unless it is there.

    Returns:
        ``shard``, its entry of the index (None if no image can be used); ``config``,
        how LitData is to read it; ``bad``, what was left out.
    """
    number = start // _images_per_shard
    done = _out / PARTS / f'{number:06}.json'
    if done.exists():
        part = json.loads(done.read_text())
        if not part['shard'] or is_whole(_out, part['shard']):
            return part
    indices = range(start, min(start + _images_per_shard, len(_dataset)))
    part = dict(shard=None, config=None, bad=[])
    folder = _out / f'.{number:06}.partial'
    shutil.rmtree(folder, ignore_errors=True)
    writer = litdata().BinaryWriter(str(folder), chunk_size=2**31, chunk_index=number)
    count = 0
    for count, sample in enumerate(_samples(indices, part['bad']), 1):
        writer.add_item(count - 1, sample)
    if count:
        writer.done()
        writer.merge()
        index = json.loads((folder / INDEX).read_text())
        part |= dict(shard=index['chunks'][0], config=index['config'])
        name = part['shard']['filename']
        with whole_file(_out / name) as partial:
            os.replace(folder / name, partial)
    shutil.rmtree(folder, ignore_errors=True)
    write_text(done, json.dumps(part))
    return part


def _samples(indices: range, bad: list[dict]) -> Iterator[list]:
    """What is kept of every image; those that cannot be used are added to ``bad``."""
    size = 0
    for index in indices:
        info = _dataset.get_data_info(index)
        try:
            file = _dataset.load_file(info)
        except ImageError as error:
            bad.append(dict(index=index, reason=str(error)))
            continue
        size += len(file)
        if size > MOST_BYTES:
            raise ValueError(
                f'{_images_per_shard} images are more than {MOST_BYTES >> 30} GiB, all '
                'that a shard holds; choose fewer --images-per-shard and another OUT'
            )
        yield [os.fsencode(_dataset.source(info)), file, zlib.crc32(file)]
