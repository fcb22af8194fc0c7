"""Loading checkpoints into a run."""

import sys
from collections.abc import Callable
from logging import ERROR, FileHandler

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from .checkpoint import load_weights, read_checkpoint, resolve_checkpoint
from .convert import state_dict_of


class PretrainingRunner(Runner):
    """MMEngine's runner, with checkpoints that load safely and whole or not at all."""

    def train(self) -> nn.Module:
        """Train; what stops the training is in the log file as well."""
        try:
            return super().train()
        except BaseException:
            files = [h for h in self.logger.handlers if isinstance(h, FileHandler)]
            record = self.logger.makeRecord(
                self.logger.name, ERROR, __file__, 0, 'stopped', (), sys.exc_info()
            )
            for file in files:  # the terminal gets it anyway
                file.handle(record)
            raise

    def load_checkpoint(
        self,
        filename: str,
        map_location: str | Callable = 'cpu',
        strict: bool = True,
        revise_keys: list | None = None,
    ) -> dict:
        """Load a training checkpoint, to start or to go on from it.

        Args:
            filename: File, or work directory.
            map_location: Not used: state goes to the device of what it belongs to.
            strict: Not used: a part of a model is never enough.
            revise_keys: Not used: only ``module.`` is removed from names.

        Raises:
            FileNotFoundError: If there is no such checkpoint.
            ValueError: If it cannot be read safely or is not of the whole model.
        """
        path = resolve_checkpoint(filename)
        checkpoint = read_checkpoint(path)
        # MMEngine would run the text of the config as Python.
        checkpoint.get('meta', {}).pop('config', None)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        wrapped = is_model_wrapper(self.model)
        model = self.model.module if wrapped else self.model
        try:
            report = load_weights(model, state_dict_of(checkpoint))
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error
        # Mean and std come from the config; converted checkpoints have none.
        if any(not name.startswith('data_preprocessor.') for name in report.missing):
            raise ValueError(
                f'{path} is not of the whole model: {report}. To start from a backbone '
                "alone, set model.backbone.init_cfg=dict(type='Pretrained', …)"
            )
        self.logger.info(f'{path}: {report}')
        self._has_loaded = True
        return checkpoint
