"""Images in few large files, for data sets of millions."""

import json
import os
import zlib
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from mmengine.logging import print_log
from mmpretrain.registry import DATASETS

from .images import ImageError, decode_image, raise_if_outage
from .people import PeopleDataset

INDEX = 'index.json'
PLAN = 'packed_from.json'  # what tools/pack_shards.py begins with
# Types of what is kept of an image: its name (LitData would open a file whose name is a
# string), its file, and the CRC-32 of that. Any others are refused, as LitData would
# unpickle what an index calls a pickle.
TYPES = ['bytes', 'bytes', 'int']
_SPEC = dict(
    type='builtins.list',
    context='null',
    children_spec=[dict(type=None, context=None, children_spec=[])] * len(TYPES),
)


@DATASETS.register_module()
class ShardedImages(PeopleDataset):
    """Images that ``tools/pack_shards.py`` has packed, in LitData's format.

    Any image is read at random, without reading what is around it, and checked by its
    checksum. Nothing about single images is kept in memory.

    Needs ``pip install 'saip_mm[shards]'``.

    Args:
        data_root: Folder of shards, or its address in an object store that LitData
            knows (``s3://…``, ``gs://…``). Of an object store single images are
            fetched; a copy on a local disk is faster.
        cache_dir: Local folder for what has to be kept of an object store.
        ann_file: Not used, since shards hold the images that were packed; the log says
            so. A config for ``PersonImages`` may have one.
        pipeline: See :class:`PeopleDataset`.
        scenes: See :class:`PeopleDataset`.

    Raises:
        FileNotFoundError: If there is no index of shards.
        ValueError: If these are no shards of ``tools/pack_shards.py``.
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
            print_log(
                f'{data_root}: ann_file={ann_file!r} is not used; these shards are of '
                'the images that were packed',
                'current',
            )
        self.remote = '://' in data_root or data_root.startswith('local:')
        if self.remote and not cache_dir:
            raise ValueError(
                f'ShardedImages: {data_root} is not on this machine; give cache_dir, a '
                'folder for what has to be kept of it'
            )
        self.cache_dir = cache_dir
        self._reader = (None, None)
        super().__init__(pipeline, scenes, data_root)

    def load_data_list(self) -> list[dict]:
        """Nothing: the shards know where their images are."""
        return []

    def full_init(self) -> None:
        """Read the index of the shards."""
        path = Path(self.data_root, INDEX)
        if self.remote:
            # LitData fetches the index when it opens the shards.
            opened = litdata().open_shards(self.data_root, self.cache_dir)
            path = Path(opened.input_dir.path, INDEX)
        self.shards = read_index(path)
        self.ends = list(accumulate(shard['chunk_size'] for shard in self.shards))
        self._fully_initialized = True

    def __len__(self) -> int:
        return self.ends[-1]

    def get_data_info(self, idx: int) -> dict:
        return dict(sample_idx=idx, shard=bisect_right(self.ends, idx))

    def load_image(self, data_info: dict) -> np.ndarray:
        return decode_image(self.load_file(data_info), self.source(data_info))

    def load_file(self, data_info: dict) -> bytes:
        """The file that was packed.

        Raises:
            ImageError: If its shard is missing or damaged there.
            OSError: If the machine or its storage has failed.
        """
        where, reader = self.source(data_info), self._open()
        try:
            shard = self.shards[data_info['shard']]
            # LitData would wait for the rest of it.
            if not self.remote and not is_whole(self.data_root, shard):
                raise OSError(
                    f'it is missing, or has other than {shard["chunk_bytes"]} bytes'
                )
            _, file, crc32 = reader[data_info['sample_idx']]
        except Exception as error:  # of the file system, of LitData, or of the network
            raise_if_outage(error, where)
            reason = f'{type(error).__name__}: {error}'
            raise ImageError(
                f'{where}: cannot be read ({reason}); copy the shard again'
            ) from error
        if zlib.crc32(file) != crc32:
            raise ImageError(f'{where}: its checksum is wrong; copy the shard again')
        return file

    def source(self, data_info: dict) -> str:
        name = self.shards[data_info['shard']]['filename']
        shard = os.path.join(self.data_root, name)
        return f'{shard}, image {data_info["sample_idx"]}'

    def _open(self) -> Any:
        """What reads the shards in this process; none of it survives a fork."""
        owner, reader = self._reader
        if owner != os.getpid():
            reader = litdata().open_shards(self.data_root, self.cache_dir)
            self._reader = (os.getpid(), reader)
        return reader

    def __getstate__(self) -> dict:
        return self.__dict__ | dict(_reader=(None, None))


def is_whole(folder: str | os.PathLike, shard: dict) -> bool:
    """Whether a shard's file is there, and as large as its entry in the index says."""
    try:
        size = os.stat(os.path.join(folder, shard['filename'])).st_size
    except (FileNotFoundError, NotADirectoryError):
        return False
    return size == shard['chunk_bytes']


def read_index(path: str | os.PathLike) -> list[dict]:
    """The shards that an index lists: ``filename``, ``chunk_size``, ``chunk_bytes``.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it is not an index of ``tools/pack_shards.py``.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'{path}: no such index of shards; make them with '
            'tools/pack_shards.py, or rerun it if it was interrupted'
        )
    try:
        content = json.loads(Path(path).read_bytes())
        shards, config = content['chunks'], content['config']
        ours = (
            config['data_format'] == TYPES
            and json.loads(config['data_spec'])[1] == _SPEC
            and not any(config.get(k) for k in ('compression', 'encryption', 'format'))
            and len(shards) > 0
            and all(map(_is_shard, shards))
        )
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise ValueError(
            f'{path}: not an index of shards ({type(error).__name__}: {error}); make '
            'them with tools/pack_shards.py'
        ) from error
    if not ours:
        raise ValueError(
            f'{path}: not an index that tools/pack_shards.py has written; pack the '
            'images again'
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
    """The module that reads and writes LitData's format, which may not be installed."""
    try:
        from . import litdata_format
    except ImportError as error:
        raise ImportError(
            "shards need LitData: pip install 'saip_mm[shards]'"
        ) from error
    return litdata_format
