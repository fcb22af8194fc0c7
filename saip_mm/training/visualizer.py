"""Visualizer that tolerates write errors, for example on a full disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR

from mmengine.logging import print_log
from mmpretrain.registry import VISUALIZERS
from mmpretrain.visualization import UniversalVisualizer


@VISUALIZERS.register_module()
class SafeVisualizer(UniversalVisualizer):
    """MMPretrain's visualizer, tolerating write errors.

    Curves then have a gap or end early; this is logged once. Arguments are those of
    ``UniversalVisualizer``.
    """

    failed = False

    def add_scalars(
        self, scalar_dict: dict, step: int = 0, file_path: str | None = None
    ) -> None:
        with self._writing():
            super().add_scalars(scalar_dict, step, file_path)

    def close(self) -> None:
        with self._writing():
            super().close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not self.failed:
                print_log(
                    f'curves could not be written ({error}); training '
                    'continues, and the curves have a gap',
                    'current',
                    ERROR,
                )
            self.failed = True
