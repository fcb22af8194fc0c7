"""What reads shards in LitData's format, one item at a time, and what writes them."""

import os
from typing import Any

import numpy as np

# Else LitData asks PyPI for newer versions of itself.
os.environ['LITDATA_DISABLE_VERSION_CHECK'] = '1'

from litdata import StreamingDataset  # noqa: E402
from litdata.streaming import item_loader  # noqa: E402
from litdata.streaming.writer import BinaryWriter  # noqa: E402

__all__ = ['BinaryWriter', 'PyTreeLoader', 'open_shards']


class PyTreeLoader(item_loader.PyTreeLoader):
    """Reads an item and no more; LitData's own reads ahead all of its shard.

    An index names the class of its loader, hence the name.
    """

    def load_item_from_chunk(
        self, index: int, chunk_index: int, chunk_filepath: str, begin: int, *_: Any
    ) -> list:
        """Item ``index``, in a shard of which ``begin`` is the first."""
        with open(chunk_filepath, 'rb', buffering=0) as shard:
            shard.seek(4 * (1 + index - begin))
            start, end = np.frombuffer(shard.read(8), np.uint32).tolist()
            shard.seek(start)
            return self.deserialize(shard.read(end - start))


def open_shards(data_root: str, cache_dir: str | None) -> StreamingDataset:
    """Items of a folder or an object store, by index."""
    return StreamingDataset(data_root, cache_dir, PyTreeLoader())
