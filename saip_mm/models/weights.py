"""Initial weights, and checks that they compute what they were trained for."""

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mmengine.model import initialize
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.utils import resize_pos_embed
from torch import Tensor, nn

from ..data.folders import some

Grid = tuple[int, int]

XAVIER = dict(type='Xavier', layer='Linear', distribution='uniform')

# Tensors that features do not depend on: classifiers, decoders, heads and averages of
# other methods, SAIP's norm of middle tokens, and objectives that a SAIP model may
# lack. `ln1` is for models with final_norm=False.
HARMLESS = re.compile(
    r'(head\w*|fc|pre_logits|attn_pool|projector|predictor|ln1|(middle|inter)_norm|'
    r'matching|reconstruction|search|distillation|teacher\.projector|data_preprocessor)\.'
    r'|decoder_|ema_|(mask_token|masked_embed)$'
)
# Tensors that weights may lack: normalization comes from the module's config, and `ln2`
# belongs to a pooled readout that is yet to be trained.
_MAY_BE_MISSING = re.compile(r'data_preprocessor\.|ln2\.')
# Tensor names of ViTs that compute a different function.
_OTHER_FUNCTIONS = (
    ('LayerScale', r'\b(ls[12]?|gamma_?[12])\b|\.layer_scale'),
    ('register tokens', r'^(reg_token|register_tokens?|storage_tokens)$'),
    ('normalized queries and keys', r'\.[qk]_norm\.'),
    ('a norm before the first block', r'^(norm_pre|pre_norm|ln_pre)\.'),
    ('pooling before the final norm', r'^(fc_norm|ln2)\.'),
    ('a distillation token', r'^dist_token$'),
    ('a convolutional stem', r'^patch_embed\.(conv|backbone|stem)\w*\.'),
    ('part tokens', r'^part_token'),
    ('gated linear units', r'\.(w12|w3|fc1_[gx])\.'),
    ('relative positions', r'rel(ative)?_pos|\brope\b'),
)


@dataclass
class LoadReport:
    """How a state dict fits a module; tensors by name.

    Attributes:
        unused: Tensors that the module does not need.
        unexpected: Tensors that features depend on, but that the module lacks.
        resized: (name, source grid, target grid) of resized positions.
        mismatched: (name, shape in the file, shape in the module).
    """

    matched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    resized: list[tuple[str, Grid, Grid]] = field(default_factory=list)
    mismatched: list[tuple[str, tuple, tuple]] = field(default_factory=list)

    def __str__(self) -> str:
        total = len(self.matched) + len(self.missing) + len(self.mismatched)
        parts = [f'{len(self.matched)} of {total} tensors matched']
        resized = [
            f'{name} from {format_size(source)} to {format_size(target)}'
            for name, source, target in self.resized
        ]
        mismatched = [
            f'{name} is {format_size(source)}, the model needs {format_size(target)}'
            for name, source, target in self.mismatched
        ]
        for word, names in (
            ('missing', self.missing),
            ('unexpected', self.unexpected),
            ('unused', self.unused),
            ('resized', resized),
            ('with another shape', mismatched),
        ):
            if names:
                parts.append(f'{len(names)} {word}: {some(names, 6)}')
        return '; '.join(parts)


def misfit(
    names: list[str], weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> str:
    """A name, with both shapes if any of the tensors has another one."""
    name = next((name for name in names if name in weights), None)
    if name is None:
        return names[0]
    shapes = format_size(weights[name].shape), format_size(wanted[name].shape)
    return '{} ({} in the checkpoint, {} in the model)'.format(name, *shapes)


def format_size(sizes: Iterable[int]) -> str:
    """Sizes such as ``16×8``."""
    return '×'.join(map(str, sizes)) or 'a single number'


def compare_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> LoadReport:
    """Check that ``module`` with these weights computes what they were trained for.

    Additional tensors are rejected unless they are known to be harmless. ViTs may have
    another number of positions: these are resized from the patch grid in the metadata
    of ``weights``, a state dict.

    Raises:
        ValueError: If a tensor is missing, unexpected, not finite or has another shape.
    """
    wanted = module.state_dict()
    report = LoadReport()
    positions = {
        f'{prefix}.pos_embed'.lstrip('.'): vit
        for prefix, vit in module.named_modules()
        if isinstance(vit, VisionTransformer)
    }
    for name, target in wanted.items():
        if name not in weights:
            report.missing.append(name)
            continue
        shapes = tuple(weights[name].shape), tuple(target.shape)
        resizable = name in positions and shapes[0][::2] == shapes[1][::2]
        if shapes[0] != shapes[1] and not resizable:
            report.mismatched.append((name, *shapes))
        else:
            report.matched.append(name)
    for name in weights:
        if name not in wanted:
            harmless = HARMLESS.match(name)
            (report.unused if harmless else report.unexpected).append(name)
    kind = type(module).__name__
    if not report.matched:
        raise ValueError(f'no tensor fits {kind}: {report}')
    missing = [name for name in report.missing if not _MAY_BE_MISSING.match(name)]
    if missing or report.unexpected or report.mismatched:
        others = other_functions(report.unexpected)
        raise ValueError(
            f'does not fit this {kind}'
            + (f', because it has {others}' if others else '')
            + f': {report}'
        )
    check_finite({name: weights[name] for name in report.matched})
    metadata = getattr(weights, '_metadata', {})
    for name, vit in positions.items():
        if name in weights and hasattr(vit, 'grid_of'):
            known = metadata.get(name.rpartition('.')[0], {})
            source = vit.grid_of(weights[name], known, name)
            if source != (target := tuple(vit.patch_resolution)):
                report.resized.append((name, source, target))
    return report


def load_weights(module: nn.Module, state_dict: Mapping[str, Tensor]) -> LoadReport:
    """Load a state dict into a module and report matches.

    Raises:
        ValueError: If the weights do not fit; ``module`` is unchanged.
    """
    report = compare_weights(module, state_dict)
    module.load_state_dict(state_dict, strict=False)
    return report


def other_functions(names: Iterable[str]) -> str:
    """What a ViT with tensors of these names has that SAIPViT does not compute."""
    names = list(names)
    found = []
    for what, pattern in _OTHER_FUNCTIONS:
        named = [name for name in names if re.search(pattern, name)]
        more = f' and {len(named) - 1} more' if len(named) > 1 else ''
        found += [f'{what} ({named[0]}{more})'] if named else []
    return ', '.join(found)


def check_finite(weights: Mapping[str, Tensor]) -> None:
    """Reject weights that are not finite.

    Raises:
        ValueError: If there are any, with their names.
    """
    broken = [n for n, tensor in weights.items() if not tensor.float().isfinite().all()]
    if broken:
        raise ValueError(f'contains NaN or infinity in {some(broken, 6)}')


class PretrainedStart:
    """Mixin of SAIP's backbones: initialization from an exported backbone.

    ``init_cfg=dict(type='Pretrained', checkpoint=PATH, prefix='backbone.')`` reports
    what was loaded and fails unless all of it fits; in a list, it is applied last.
    """

    source_grid: tuple[int, int] | None = None

    def init_weights(self) -> None:
        """Apply ``init_cfg``; unless it only loads weights, first initialize linear
        layers with Xavier uniform."""
        named = self.init_cfg or []
        named = [named] if isinstance(named, dict) else named
        pretrained = [cfg for cfg in named if cfg['type'] == 'Pretrained']
        others = [cfg for cfg in named if cfg['type'] != 'Pretrained']
        if others or not pretrained:
            self._init_from_scratch(others)
        for cfg in pretrained:
            initialize(self, cfg | dict(type='PretrainedBackbone'))

    def _init_from_scratch(self, init_cfg: list[dict]) -> None:
        kept, self.init_cfg = self.init_cfg, None
        super().init_weights()
        self.init_cfg = kept
        initialize(self, [XAVIER, *init_cfg])

    def train(self, mode: bool = True) -> nn.Module:
        super().train(mode)  # returns None, unlike torch's
        return self

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Tensor], prefix: str, metadata: dict, *args
    ) -> None:
        """Resize positions; reject other weights that do not fit."""
        own = OrderedDict(
            (name.removeprefix(prefix), tensor)
            for name, tensor in state_dict.items()
            if name.startswith(prefix)
        )
        own._metadata = {'': metadata}
        # A checkpoint of a head has no backbone.
        report = compare_weights(self, own) if own else LoadReport()
        for name, source, target in report.resized:
            # Bicubic without antialiasing; the class token's position is unchanged.
            state_dict[prefix + name] = resize_pos_embed(
                own[name], source, target, 'bicubic', num_extra_tokens=1
            )
        super()._load_from_state_dict(state_dict, prefix, metadata, *args)
