"""Reader of single items in shards in LitData's format, and writer of such shards."""

import os
from typing import Any

import numpy as np

# Without this, LitData asks PyPI for newer versions of itself.
os.environ['LITDATA_DISABLE_VERSION_CHECK'] = '1'

from litdata import StreamingDataset  # noqa: E402
from litdata.streaming import item_loader  # noqa: E402
from litdata.streaming.writer import BinaryWriter  # noqa: E402

__all__ = ['BinaryWriter', 'PyTreeLoader', 'open_shards']


class PyTreeLoader(item_loader.PyTreeLoader):
    """Loader of single items; LitData's own reads the whole shard in advance.

    An index names the class of its loader, hence the name of this class.
    """

    def load_item_from_chunk(
        self, index: int, chunk_index: int, chunk_filepath: str, begin: int, *_: Any
    ) -> list:
        """Return item ``index`` from a shard whose first item is ``begin``."""
        with open(chunk_filepath, 'rb', buffering=0) as shard:
            shard.seek(4 * (1 + index - begin))
            start, end = np.frombuffer(shard.read(8), np.uint32).tolist()
            shard.seek(start)
            return self.deserialize(shard.read(end - start))


def open_shards(data_root: str, cache_dir: str | None) -> StreamingDataset:
    """Open the items in a folder or an object store, by index."""
    return StreamingDataset(data_root, cache_dir, PyTreeLoader())
