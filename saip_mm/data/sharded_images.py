"""Images in a few large files, for data sets of millions."""

import json
import os
import time
import zlib
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from mmengine.dist import get_rank, is_distributed
from mmengine.logging import print_log
from mmpretrain.registry import DATASETS

from .images import ImageError, decode_image, raise_if_outage, unreduced
from .people import PeopleDataset

INDEX = 'index.json'
PLAN = 'packed_from.json'  # written first by tools/pack_shards.py
# Types of an image's fields: its name (LitData would open a string as a file), its file
# and the file's CRC-32. Others are rejected, since LitData unpickles some of them.
TYPES = ['bytes', 'bytes', 'int']
_SPEC = dict(
    type='builtins.list',
    context='null',
    children_spec=[dict(type=None, context=None, children_spec=[])] * len(TYPES),
)


@DATASETS.register_module()
class ShardedImages(PeopleDataset):
    """Images packed by ``tools/pack_shards.py`` in LitData's format.

    Images are read individually and verified by their checksums. Nothing about single
    images is kept in memory. Needs ``pip install 'litdata<0.3'``.

    Args:
        data_root: Folder of shards, or its URL in an object store supported by LitData
            (``s3://…``, ``gs://…``), from which single images are fetched.
        cache_dir: Folder for the index of an object store, on a local disk.
        ann_file: Ignored with a log message, since shards hold the packed images; lets
            configs of ``PersonImages`` be reused.
        pipeline, scenes: See :class:`PeopleDataset`.

    Raises:
        FileNotFoundError: There is no index of shards.
        ImportError: LitData is not installed.
        ValueError: The shards were not written by ``tools/pack_shards.py``, or those of
            an object store cannot be read or have no ``cache_dir``.
    """

    def __init__(
        self,
        data_root: str,
        cache_dir: str | None = None,
        ann_file: str = '',
        pipeline: tuple = (),
        scenes: dict | None = None,
    ) -> None:
        if ann_file:
            ignored = f'ann_file={ann_file!r} is ignored'
            print_log(f'{data_root}: {ignored}: all packed images are used', 'current')
        self.remote = '://' in data_root or data_root.startswith('local:')
        if self.remote and not cache_dir:
            raise ValueError(f'{data_root}: give cache_dir, a folder for its index')
        self.cache_dir = cache_dir
        self._reader = (None, None)
        super().__init__(pipeline, scenes, os.path.expanduser(data_root))

    def full_init(self) -> None:
        """Read the index of the shards instead of a data list."""
        litdata()  # if it is missing, say so before images cannot be read
        path = Path(self.data_root, INDEX)
        if self.remote:  # LitData fetches the index
            path = Path(self._fetch_index().input_dir.path, INDEX)
        self.shards = read_index(path)
        self.ends = list(accumulate(shard['chunk_size'] for shard in self.shards))
        self._fully_initialized = True

    def _fetch_index(self) -> Any:
        # Processes that start together disturb each other's fetching.
        waits = [1, 2, 4, 8] if is_distributed() else []
        while True:
            try:
                return litdata().open_shards(self.data_root, self.cache_dir)
            except Exception as error:  # cloud clients raise any type
                if not waits:
                    raise ValueError(
                        f'{self.data_root}: no index of shards can be read '
                        f'({type(error).__name__}: {error}); correct the URL, or see '
                        'whether its credentials are set'
                    ) from error
            time.sleep(waits.pop(0) + get_rank() % 8 / 8)

    def __len__(self) -> int:
        return self.ends[-1]

    def listed(self) -> bytes:
        return json.dumps(self.shards).encode()

    def get_data_info(self, idx: int) -> dict:
        return dict(sample_idx=idx, shard=bisect_right(self.ends, idx))

    def load_image(self, data_info: dict) -> np.ndarray:
        reduction = data_info.get('max_reduction', unreduced)
        file, name = self.load_file(data_info), self.source(data_info)
        return decode_image(file, name, reduction)

    def load_file(self, data_info: dict) -> bytes:
        """Return the file that was packed.

        Raises:
            ImageError: Its shard is missing or damaged.
            OSError: The machine or its storage failed.
        """
        where = self.source(data_info)
        try:
            reader = self._open()
            shard = self.shards[data_info['shard']]
            # LitData would wait for the rest of the shard.
            if not self.remote and not is_complete(self.data_root, shard):
                size = shard['chunk_bytes']
                raise OSError(f'it is missing or does not have {size} bytes')
            _, file, crc32 = reader[data_info['sample_idx']]
        except Exception as error:  # of the file system, LitData, or the network
            raise_if_outage(error, where)
            reason = f'cannot be read ({type(error).__name__}: {error})'
            raise ImageError(f'{where}: {reason}; copy the shard again') from error
        if zlib.crc32(file) != crc32:
            raise ImageError(f'{where}: its checksum is wrong; copy the shard again')
        return file

    def source(self, data_info: dict) -> str:
        name = self.shards[data_info['shard']]['filename']
        shard = os.path.join(self.data_root, name)
        return f'{shard}, image {data_info["sample_idx"]}'

    def _open(self) -> Any:
        """Return this process's reader; readers do not survive a fork."""
        if self._reader[0] != os.getpid():
            reader = self._fetch_index()
            self._reader = (os.getpid(), reader)
        return self._reader[1]

    def __getstate__(self) -> dict:
        return self.__dict__ | dict(_reader=(None, None))


def is_complete(folder: str | os.PathLike, shard: dict) -> bool:
    """Return whether a shard exists with the size given by the index."""
    path = os.path.join(folder, shard['filename'])
    try:
        return os.stat(path).st_size == shard['chunk_bytes']
    except (FileNotFoundError, NotADirectoryError):
        return False


def read_index(path: Path) -> list[dict]:
    """Return the shards in an index: ``filename``, ``chunk_size``, ``chunk_bytes``.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It was not written by ``tools/pack_shards.py``.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: no such index of shards; make them with '
            'tools/pack_shards.py, or rerun it if it was interrupted'
        )
    try:
        content = json.loads(path.read_bytes())
        shards, config = content['chunks'], content['config']
        valid = (
            config['data_format'] == TYPES
            and json.loads(config['data_spec'])[1] == _SPEC
            and not any(config.get(k) for k in ('compression', 'encryption', 'format'))
            and len(shards) > 0
            and all(map(_is_shard, shards))
        )
        reason = '' if valid else 'it describes other data'
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        reason = f'{type(error).__name__}: {error}'
    if reason:
        raise ValueError(
            f'{path}: not an index written by tools/pack_shards.py ({reason}); pack '
            'the images again'
        )
    return shards


def _is_shard(shard: dict) -> bool:
    name, counts = shard['filename'], (shard['chunk_size'], shard['chunk_bytes'])
    return (
        all(type(count) is int and count > 0 for count in counts)
        and type(name) is str
        and name == os.path.basename(name)
    )


def litdata() -> ModuleType:
    """Import the reader and writer of shards, whose dependency is optional."""
    try:
        from . import litdata_format
    except ImportError as error:
        raise ImportError(
            "shards need LitData: run pip install 'litdata<0.3'"
        ) from error
    return litdata_format
