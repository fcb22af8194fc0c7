"""CLIP's tokens and text transformer (arXiv 2103.00020), from open_clip."""

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType

import torch
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS, TRANSFORMS
from torch import Tensor

from ...checkpoints.files import read_checkpoint, resolve_checkpoint, state_dict_of
from ...checkpoints.torchscript import is_torchscript, read_torchscript
from ...models.weights import compare_weights

VOCABULARY = 49408
WORDS = 75  # of a caption, besides start and end
HEAD_CHANNELS = 64  # of an attention head
EMBEDDING = 'token_embedding.weight'
HUGGING_FACE = {
    'text_model.embeddings.token_embedding': 'token_embedding',
    'text_model.embeddings.position_embedding.weight': 'positional_embedding',
    'text_model.encoder.layers': 'transformer.resblocks',
    'text_model.final_layer_norm': 'ln_final',
    '.layer_norm': '.ln_',
    '.self_attn.': '.attn.',
    '.mlp.fc1.': '.mlp.c_fc.',
    '.mlp.fc2.': '.mlp.c_proj.',
}  # parts of names in transformers, and here


def open_clip(module: str) -> ModuleType:
    """A module of open_clip, which only this task needs.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        return import_module(f'open_clip.{module}')
    except ImportError as error:
        raise ImportError(
            f'text retrieval needs CLIP ({error}): run pip install open_clip_torch'
        ) from error


@TRANSFORMS.register_module()
class TokenizeCaptions(BaseTransform):
    """Add ``tokens`` [n, 77], int64, of the n ``captions`` of an image.

    CLIP's byte-pair encoding, whose vocabulary is part of open_clip: a start token
    (49406), at most 75 tokens of the caption, an end token (49407), and zeros.
    """

    def __init__(self) -> None:
        self.tokenize = open_clip('tokenizer').tokenize

    def transform(self, results: dict) -> dict:
        return dict(results, tokens=self.tokenize(results['captions']))


@MODELS.register_module()
class CLIPText(BaseModule):
    """CLIP's causal text transformer.

    Args:
        width: Channels of the tokens, a multiple of 64.
        num_layers: Transformer blocks.
        out_channels: Channels C after the projection.
        quick_gelu: Whether the activation is QuickGELU, as in OpenAI's models, or GELU,
            as in most of OpenCLIP's; checkpoints do not state it.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)`` starts from a model of
            OpenAI (TorchScript archive or state dict), OpenCLIP, or Hugging Face's
            ``CLIPModel``, whose image encoder is ignored. None starts from random
            weights.
    """

    def __init__(
        self,
        width: int,
        num_layers: int,
        out_channels: int,
        quick_gelu: bool = True,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if width % HEAD_CHANNELS:
            raise ValueError(f'CLIPText: width={width} is not a multiple of 64')
        transformer = open_clip('transformer')
        self.out_channels = out_channels
        self.tower = transformer.TextTransformer(
            width=width,
            heads=width // HEAD_CHANNELS,
            layers=num_layers,
            output_dim=out_channels,
            act_layer=transformer.QuickGELU if quick_gelu else torch.nn.GELU,
            pool_type='none',
        )

    def init_weights(self) -> None:
        if self.init_cfg:
            path = self.init_cfg['checkpoint']
            self.tower.load_state_dict(read_clip_text(path, self.tower))
            print_log(f'{path}: read the text transformer', logger='current')

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, 77, C] of tokens [B, 77], and [B, C] of their end tokens."""
        features = self.tower(tokens)
        rows = torch.arange(len(tokens), device=tokens.device)
        return features, features[rows, tokens.argmax(dim=1)]


def from_hugging_face(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The text transformer of transformers' ``CLIPModel``, with OpenAI's names."""
    found = {}
    for name, tensor in tensors.items():
        if not name.startswith(('text_model.', 'text_projection.')):
            continue
        for theirs, ours in HUGGING_FACE.items():
            name = name.replace(theirs, ours)
        found[name] = tensor
    found.pop('text_model.embeddings.position_ids', None)
    if 'text_projection.weight' in found:
        found['text_projection'] = found.pop('text_projection.weight').T
    for name in [name for name in found if '.attn.q_proj.' in name]:
        names = [name.replace('.q_', f'.{each}_') for each in 'qkv']
        if found.keys() >= set(names):
            parts = [found.pop(each) for each in names]
            found[name.replace('.q_proj.', '.in_proj_')] = torch.cat(parts)
    return found


def read_clip_text(path: str, tower: torch.nn.Module) -> Mapping[str, Tensor]:
    """Weights of CLIP's text transformer in float32, for a ``tower`` of their shapes.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it is damaged or not a CLIP model of these shapes.
    """
    try:
        path = resolve_checkpoint(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'{error}. Set model.text.init_cfg.checkpoint to a CLIP model, or '
            'model.text.init_cfg=None for random weights'
        ) from error
    if is_torchscript(path):
        tensors = read_torchscript(path)
    else:
        tensors = state_dict_of(read_checkpoint(path))
    if any(name.startswith('text_model.') for name in tensors):
        tensors = from_hugging_face(tensors)
    # OpenCLIP's models with other image encoders put the text encoder below `text.`.
    found = [name for name in tensors if name.endswith(EMBEDDING)]
    prefix = min(found, key=len).removesuffix(EMBEDDING) if found else ''
    parts = tuple(prefix + name.split('.')[0] for name in tower.state_dict())
    own = {
        name.removeprefix(prefix): tensor.float()
        for name, tensor in tensors.items()
        if name.startswith(parts)
    }
    try:
        compare_weights(tower, own)
    except ValueError as error:
        raise ValueError(
            f'{path} {error}. Give a CLIP model of OpenAI, OpenCLIP or Hugging Face, '
            'such as ViT-B-16.pt; for one of another size, set width, num_layers and '
            'out_channels of model.text; for random weights, model.text.init_cfg=None'
        ) from error
    return own
