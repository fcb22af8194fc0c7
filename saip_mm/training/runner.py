"""MMEngine's runner with safe loading, safe saving and checks of the data."""

import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from logging import ERROR, FileHandler
from pathlib import Path

from mmengine import device
from mmengine.dist import get_rank
from mmengine.evaluator import Evaluator
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import BaseTTAModel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from mmengine.runner.checkpoint import load_state_dict
from mmengine.runner.runner import ParamSchedulerType
from mmpretrain.models import BaseSelfSupervisor
from mmpretrain.registry import HOOKS
from torch import Tensor, nn

from ..checkpoints.files import open_checkpoint, state_dict_of
from ..data.concat import holds_people
from ..models.weights import check_finite, load_weights, misfit
from ..processes import START_METHOD, limit_threads
from .batches import STEPS_PER_EPOCH, EndlessLoader, continue_epoch
from .loaders import build_checked_loader
from .loops import AccumulatingTrainLoop
from .processes import on_main_process, unwrap_model
from .resuming import DueValidationHook, LaunchHook, choose_checkpoint
from .saving import FIXED, STOP_SIGNALS, SafeCheckpointHook
from .schedules import startable

_BACKBONE_ALONE = (
    "To start from a backbone alone, set model.backbone.init_cfg=dict(type='Pretrained'"
    ', …)'
)


class SafeRunner(Runner):
    """A runner that saves atomically, checks data, and executes no code in files."""

    build_dataloader = staticmethod(build_checked_loader)

    def setup_env(self, env_cfg: dict) -> None:
        """Set up processes as MMEngine does; on a Mac, on the CPU and without forking.

        Raises:
            OSError: On Windows, where nothing was tested.
        """
        if sys.platform == 'win32':
            raise OSError('training and testing do not run on Windows: use WSL')
        if sys.platform == 'darwin':
            mp_cfg = dict(env_cfg.get('mp_cfg', {}), mp_start_method=START_METHOD)
            env_cfg = dict(env_cfg, mp_cfg=mp_cfg)
            # MMEngine would choose MPS, for which DDP has no backend.
            device.utils.DEVICE = 'cpu'
        super().setup_env(env_cfg)
        limit_threads()

    def dump_config(self) -> None:
        """Do nothing: :class:`LaunchHook` saves it once training may begin."""

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Build a model as MMEngine does, and compare strides.

        Raises:
            ValueError: If the stride of a ``ViTPyramid`` is not the backbone's patch
                size, which would misplace boxes and maps.
        """
        built = super().build_model(model)
        parts = dict(built.named_modules())
        for name, neck in parts.items():
            stride = getattr(neck, 'in_stride', None)
            owner = name.partition('neck')[0]
            patch = getattr(parts.get(f'{owner}backbone'), 'patch_size', None)
            if stride and patch and stride != patch:
                raise ValueError(
                    f'model.{name}.in_stride={stride}, but the backbone has '
                    f'patch_size={patch}: set in_stride to it, and the channels of '
                    'later parts to those of the maps'
                )
        return built

    def build_optim_wrapper(
        self, optim_wrapper: dict | OptimWrapper
    ) -> OptimWrapper | OptimWrapperDict:
        """Build the optimizer as MMEngine does; explains one that needs a GPU."""
        try:
            return super().build_optim_wrapper(optim_wrapper)
        except AssertionError as error:
            if 'only available' not in str(error):
                raise
            raise ValueError(
                f'{error}: without one, add --cfg-options '
                'optim_wrapper.type=OptimWrapper or BFloat16OptimWrapper'
            ) from error

    def build_param_scheduler(self, scheduler: object) -> ParamSchedulerType:
        """Build schedules as MMEngine does; see :func:`startable`."""
        return super().build_param_scheduler(startable(scheduler, self))

    def scale_lr(
        self, optim_wrapper: OptimWrapper, auto_scale_lr: dict | None = None
    ) -> None:
        """Scale learning rates as MMEngine does, and also the logged ``base_lr``."""
        base = getattr(optim_wrapper, 'base_param_settings', None)
        if base is None:
            return super().scale_lr(optim_wrapper, auto_scale_lr)
        groups = optim_wrapper.optimizer.param_groups
        groups.append(base)
        super().scale_lr(optim_wrapper, auto_scale_lr)
        groups.pop()

    def register_hook(
        self, hook: Hook | dict, priority: int | str | None = None
    ) -> None:
        """Register a hook, replacing ``CheckpointHook`` by ``SafeCheckpointHook``.

        MMEngine's is kept if the config sets names or locations of checkpoints.
        """
        if isinstance(hook, dict) and not FIXED.intersection(hook):
            kind = hook.get('type')
            kind = HOOKS.get(kind) if isinstance(kind, str) else kind
            if kind is CheckpointHook:
                hook = dict(hook, type=SafeCheckpointHook)
        super().register_hook(hook, priority)

    def call_hook(self, fn_name: str, **kwargs: object) -> None:
        """Call hooks as MMEngine does, which would hide where a TypeError occurred."""
        for hook in self._hooks:
            if hasattr(hook, fn_name):
                getattr(hook, fn_name)(self, **kwargs)

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """Register hooks as MMEngine does; None omits any of them, not only its own."""
        stock = {'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler'}
        kept = {}
        for name, hook in (hooks or {}).items():
            if isinstance(hook, dict) and 'type' not in hook:
                known = sorted(hooks.keys() - {name})
                raise ValueError(
                    f'default_hooks.{name} has no type; is one of the other hooks '
                    f'meant ({", ".join(known)})?'
                )
            if hook is not None or name in stock | {'checkpoint'}:
                kept[name] = hook
        super().register_default_hooks(kept)

    def build_evaluator(self, evaluator: dict | list | Evaluator) -> Evaluator:
        """Build an evaluator as MMEngine does; errors of its files name the setting."""
        try:
            return super().build_evaluator(evaluator)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f'{error}: set ann_file of this val_evaluator or test_evaluator to the '
                'annotations of its data set'
            ) from error

    def resume_from(self, resume: str | None) -> None:
        """Choose the checkpoint to resume from, the same in all processes.

        Arguments and errors are those of
        :func:`~saip_mm.training.resuming.choose_checkpoint`, but None uses ``resume``
        and ``load_from`` of the config.
        """
        if resume is None and self._resume:
            resume = self._load_from or 'auto'
        # One process checks the whole file.
        found = on_main_process(choose_checkpoint, self.work_dir, resume)
        self._resume = found is not None
        if self._resume:
            self._load_from = str(found)

    def load_or_resume(self) -> None:
        """Load or resume as MMEngine does, also within an epoch."""
        super().load_or_resume()
        loop = self._train_loop  # in a test, its config, if any
        if isinstance(loop, AccumulatingTrainLoop):
            # It counts micro-batches; MMEngine would count steps, and warn.
            self.optim_wrapper.initialize_count_status = lambda *_: None
        elif isinstance(loop, BaseLoop):  # the other loop does the same itself
            if self._resume:
                continue_epoch(self)
            if isinstance(loop, EpochBasedTrainLoop):
                self.message_hub.update_info(STEPS_PER_EPOCH, len(loop.dataloader))
        if isinstance(loop, IterBasedTrainLoop):
            loop.dataloader_iterator = EndlessLoader(loop.dataloader)

    def train(self) -> nn.Module:
        """Train; errors also go to the log file, or to a file of their own process.

        Raises:
            TypeError: If a model that learns from labels is given a data set of people,
                which has none.
            ValueError: If a model that learns without labels should be validated.
        """
        self._check_task()
        if self._resume and self._load_from is None:
            self.resume_from(None)
        launch = LaunchHook()
        self.register_hook(launch)
        self.register_hook(DueValidationHook())
        handlers = {each: signal.getsignal(each) for each in STOP_SIGNALS}
        try:
            return super().train()
        except SystemExit:  # stopped by a signal
            with suppress(OSError):  # the disk may be full
                self.visualizer.close()
            raise
        except BaseException:
            files = [h for h in self.logger.handlers if isinstance(h, FileHandler)]
            record = self.logger.makeRecord(
                self.logger.name, ERROR, __file__, 0, 'stopped', (), sys.exc_info()
            )
            if not files:  # only the first process has a log
                path = Path(self.log_dir, f'error_of_process_{get_rank()}.log')
                files = [FileHandler(path, delay=True)]
            for file in files:  # the terminal shows it anyway
                file.handle(record)
            raise
        finally:
            launch.unlock()
            for number, handler in handlers.items():
                if signal.getsignal(number) != handler:  # hooks have not restored it
                    signal.signal(number, handler or signal.SIG_DFL)

    def _check_task(self) -> None:
        dataset = (self.cfg.get('train_dataloader') or {}).get('dataset')
        model = unwrap_model(self.model)
        if holds_people(dataset) and not isinstance(model, BaseSelfSupervisor):
            raise TypeError(
                f'{type(model).__name__} learns from labels, and {dataset["type"]} has '
                'none: choose a self-supervised algorithm, or a data set with labels'
            )
        if self._val_loop is not None and isinstance(model, BaseSelfSupervisor):
            raise ValueError(
                f'{type(model).__name__} learns without labels, and has nothing to '
                'validate: remove val_dataloader, val_cfg and val_evaluator from the '
                'config. ProbeHook evaluates features during pretraining'
            )

    def load_checkpoint(
        self, filename: str, map_location: str | Callable = 'cpu'
    ) -> dict:
        """Load a checkpoint from a file or work directory, and log what matched.

        ``map_location`` is not used: state is loaded to the device of its owner.
        """
        model = unwrap_model(self.model)
        if isinstance(model, BaseTTAModel):
            model = model.module
        with open_checkpoint(filename) as (path, checkpoint):
            # MMEngine would execute the config as Python code.
            (checkpoint.get('meta') or {}).pop('config', None)
            self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
            report = self._load(model, state_dict_of(checkpoint))
        self.logger.info(f'{path}: {report}')
        self._has_loaded = True
        return checkpoint

    def _load(self, model: nn.Module, weights: Mapping[str, Tensor]) -> object:
        """Load weights and return a report.

        In pretraining, all tensors must match, and in a test all parameters; otherwise
        parts are enough, from which detectors often start.
        """
        if isinstance(model, BaseSelfSupervisor):
            try:
                return load_weights(model, weights)
            except ValueError as error:
                raise ValueError(f'{error}. {_BACKBONE_ALONE}') from error
        wanted = model.state_dict()
        fitting = [
            name
            for name, tensor in weights.items()
            if name in wanted and wanted[name].shape == tensor.shape
        ]
        if not fitting:
            raise ValueError(
                f'none of {len(weights)} tensors fits this {type(model).__name__}: is '
                f'this a checkpoint of another model? {_BACKBONE_ALONE}'
            )
        trained = dict(model.named_parameters())
        missing = sorted(trained.keys() - set(fitting))
        if missing and isinstance(self._test_loop, BaseLoop):
            raise ValueError(
                f'{len(missing)} of {len(trained)} parameters of this '
                f'{type(model).__name__} are not in the checkpoint or have another '
                f'shape, such as {misfit(missing, weights, trained)}. If this is not '
                'the config of the training, use the one in its work directory'
            )
        check_finite({name: weights[name] for name in fitting if name in trained})
        load_state_dict(model, weights, strict=False, logger=self.logger)
        return f'{len(fitting)} of {len(wanted)} tensors matched'
