"""Packing of images into a few large files."""

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

from rich.progress import track

from ..files import atomic_write, lock, write_text
from ..processes import worker_pool
from .images import ImageError
from .people import PeopleDataset
from .sharded_images import INDEX, PLAN, is_complete, litdata

PARTS = 'parts'  # folder with a file per finished shard
BAD = 'bad_images.jsonl'
MAX_BYTES = 3 << 30  # per shard: LitData counts bytes in 32 bits


def pack_shards(
    dataset: PeopleDataset,
    out: str | os.PathLike,
    images_per_shard: int,
    processes: int,
) -> tuple[int, int]:
    """Pack images into shards for ShardedImages, in the same order.

    Image files are packed unchanged, other images as PNG. Unusable images are skipped
    and listed in ``bad_images.jsonl``. After an interruption, the same call writes the
    missing shards.

    Args:
        dataset: Source of the images.
        out: Folder for the shards.
        images_per_shard: Images per shard, including bad ones.
        processes: Number of shards that are written at the same time.

    Returns:
        Numbers of packed and of skipped images.

    Raises:
        BlockingIOError: Another process is packing into the folder.
        ValueError: The folder contains other files or shards of other images, no image
            can be used, or a shard would be too large.
    """
    _share(dataset, Path(out))
    _begin(images_per_shard)
    whole = range(len(dataset))
    shards = [whole[i : i + images_per_shard] for i in whole[::images_per_shard]]
    busy = f'{out}: another command is packing into this folder; wait until it ends'
    with (
        lock(_out / '.lock', busy),
        worker_pool(processes, _share, dataset, _out) as pool,
    ):
        done = pool.map(_pack_part, *zip(*enumerate(shards), strict=True))
        parts = list(track(done, 'Shards', len(shards)))
    bad = [json.dumps(entry) + '\n' for part in parts for entry in part['bad']]
    packed = [part for part in parts if part['shard']]
    if not packed:
        raise ValueError(f'{out}: none of {len(dataset)} images can be used')
    shards = [part['shard'] for part in packed]
    write_text(_out / BAD, ''.join(bad))
    config = packed[0]['config']
    index = dict(chunks=shards, config=config)
    # A new digest tells LitData that its copy of the index is old.
    digest = hashlib.sha256((_out / PLAN).read_bytes() + json.dumps(index).encode())
    write_text(_out / INDEX, json.dumps(index | dict(updated_at=digest.hexdigest())))
    return sum(shard['chunk_size'] for shard in shards), len(bad)


def _share(dataset: PeopleDataset, out: Path) -> None:
    """Set what this process packs, and where."""
    global _dataset, _out
    _dataset, _out = dataset, out


def _begin(images_per_shard: int) -> None:
    """Record what is packed, or compare it with the record of an earlier call."""
    digest = hashlib.sha256()
    for index in range(len(_dataset)):
        name = _dataset.source(_dataset.get_data_info(index))
        digest.update(os.fsencode(name) + b'\n')
    plan = {
        f'{name}_{number}' if number else name: value
        for number, part in enumerate(_dataset.parts())
        for name, value in vars(part).items()
        if isinstance(value, bool | int | float | str | tuple)
        and not name.startswith('_')
        and name not in ('data_root', 'ann_file')  # covered by the names
    }
    plan |= dict(images=len(_dataset), images_per_shard=images_per_shard)
    plan = json.dumps(plan | dict(names_sha256=digest.hexdigest()), indent=1)
    path = _out / PLAN
    if not path.exists():
        if _out.is_dir() and any(_out.iterdir()):
            raise ValueError(f'{_out} contains other files; choose another folder')
        write_text(path, plan)
        return
    try:
        begun = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f'{path} is damaged ({error}); remove {_out}') from error
    other = [k for k, value in json.loads(plan).items() if value != begun.get(k)]
    if other:
        raise ValueError(
            f'{_out} was begun with other images or settings ({", ".join(other)} in '
            f'{path}), or with another path to these images; give the first ones, '
            'choose another folder, or remove it'
        )


def _pack_part(number: int, indices: range) -> dict:
    """Write a shard, unless it exists.

    Returns:
        ``shard``, its entry in the index (None if no image can be used); ``config``,
        LitData's settings in the index; ``bad``, the skipped images.
    """
    done = _out / PARTS / f'{number:06}.json'
    if done.exists():
        part = json.loads(done.read_text())
        if not part['shard'] or is_complete(_out, part['shard']):
            return part
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
        with atomic_write(_out / name) as partial:
            os.replace(folder / name, partial)
    shutil.rmtree(folder, ignore_errors=True)
    write_text(done, json.dumps(part))
    return part


def _samples(indices: range, bad: list[dict]) -> Iterator[list]:
    """Yield the fields of each usable image, and append the others to ``bad``."""
    size = 0
    for index in indices:
        info = _dataset.get_data_info(index)
        try:
            file = _dataset.load_file(info)
        except ImageError as error:
            bad.append(dict(index=index, reason=str(error)))
            continue
        size += len(file)
        if size > MAX_BYTES:
            raise ValueError(
                f'{len(indices)} images exceed {MAX_BYTES >> 30} GiB, the limit of a '
                'shard; choose fewer --images-per-shard and another OUT'
            )
        yield [os.fsencode(_dataset.source(info)), file, zlib.crc32(file)]
