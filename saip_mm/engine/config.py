"""Configs as the command line changes them."""

import difflib
import inspect

from mmengine.config import Config
from mmengine.runner import Runner


def load_config(path: str, options: dict) -> Config:
    """Read a config and replace some of its settings.

    Args:
        path: Config file.
        options: New values by dotted name, such as ``train_dataloader.batch_size``.

    Raises:
        KeyError: If an option does not begin with a setting of the config or of
            MMEngine's runner. (What comes after is up to the classes to know.)
    """
    cfg = Config.fromfile(path)
    known = set(cfg) | set(inspect.signature(Runner).parameters)
    for option in options:
        key = option.split('.')[0]
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f'; did you mean {close[0]!r}?' if close else ''
            raise KeyError(f'--cfg-options {option}: {path} has no {key!r}{hint}')
    cfg.merge_from_dict(options)
    return cfg
