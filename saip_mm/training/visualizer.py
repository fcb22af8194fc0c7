"""Visualizer that tolerates write errors, for example on a full disk."""

from logging import ERROR

from mmengine.logging import print_log
from mmpretrain.registry import VISUALIZERS
from mmpretrain.visualization import UniversalVisualizer


@VISUALIZERS.register_module()
class SafeVisualizer(UniversalVisualizer):
    """MMPretrain's visualizer; write errors leave gaps in curves, and are logged once.

    Arguments are those of ``UniversalVisualizer``.
    """

    failed = False

    def add_scalars(
        self, scalar_dict: dict, step: int = 0, file_path: str | None = None
    ) -> None:
        try:
            super().add_scalars(scalar_dict, step, file_path)
        except OSError as error:
            self._report(error)

    def close(self) -> None:
        try:
            super().close()
        except OSError as error:
            self._report(error)

    def _report(self, error: OSError) -> None:
        if not self.failed:
            text = f'curves could not be written ({error}) and have a gap'
            print_log(text, 'current', ERROR)
        self.failed = True
