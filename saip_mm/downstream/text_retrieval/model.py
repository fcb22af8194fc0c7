"""Images and sentences about people in a common space."""

import torch
from mmengine.dist import get_world_size
from mmengine.model import BaseModel
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather
from torch.nn.functional import cross_entropy, log_softmax, normalize

from ...models.encoder import channels_of
from .clip import open_clip


@MODELS.register_module()
class TextRetriever(BaseModel):
    """Finds images of people by sentences: IRRA (arXiv 2303.12501) with any backbone.

    Three losses of equal weight: similarities within a batch follow identities
    (:func:`match_distributions`), a linear classifier tells the people of the training
    set apart by image and by caption, and hidden words are predicted from the image.

    Args:
        backbone: Backbone with the ``encode`` method of
            :class:`~saip_mm.models.saip_vit.SAIPViT`; its image token and last map
            are projected to the channels C of the text.
        text: Text encoder, :class:`CLIPText`.
        num_classes: People in the training set.
        temperature: Divides similarities.
        mlm: :class:`MaskedLanguageHead` without ``channels``; None for no hidden words.
        data_preprocessor: Normalizes images.
    """

    def __init__(
        self,
        backbone: dict,
        text: dict,
        num_classes: int,
        temperature: float,
        mlm: dict | None = None,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor)
        self.backbone = MODELS.build(backbone)
        self.text = MODELS.build(text)
        self.temperature = temperature
        inner, channels = channels_of(self.backbone)[0], self.text.out_channels
        self.projection = nn.Linear(inner, channels, bias=False)
        nn.init.normal_(self.projection.weight, std=inner**-0.5)
        self.classifier = nn.Linear(channels, num_classes)
        nn.init.normal_(self.classifier.weight, std=0.001)
        nn.init.zeros_(self.classifier.bias)
        self.mlm = mlm and MODELS.build(dict(mlm, channels=channels))

    def forward(
        self,
        inputs: Tensor,
        data_samples: list[DataSample] | None = None,
        mode: str = 'tensor',
    ) -> dict[str, Tensor] | list[DataSample] | Tensor:
        """Losses (``mode='loss'``), data samples with features (``'predict'``), or
        image features [B, C] (``'tensor'``) of images [B, 3, H, W]."""
        if mode == 'tensor':
            return self.embed_images(inputs)[:, 0]
        return getattr(self, mode)(inputs, data_samples)

    def embed_images(self, images: Tensor) -> Tensor:
        """Tokens [B, 1 + N, C] of images [B, 3, H, W]; the first is the image token,
        the others are the last map, row by row."""
        return self.projection(self.backbone.encode(images, until='maps').last_tokens)

    def embed_sentences(self, sentences: list[str]) -> Tensor:
        """Features [B, C] of B sentences."""
        tokens = open_clip('tokenizer').tokenize(sentences)
        return self.text(tokens.to(self.projection.weight.device))[1]

    def loss(self, inputs: Tensor, data_samples: list[DataSample]) -> dict[str, Tensor]:
        """Losses of images with one caption each (``tokens`` [1, 77])."""
        tokens = torch.cat([sample.tokens for sample in data_samples])
        labels = torch.cat([sample.gt_label for sample in data_samples])
        if (highest := labels.max().item()) >= self.classifier.out_features:
            raise ValueError(
                f'the training set has at least {highest + 1} people, but '
                f'model.num_classes={self.classifier.out_features}: set it to their '
                'number'
            )
        patches = self.embed_images(inputs)
        both = patches[:, 0], self.text(tokens)[1]
        identities = [cross_entropy(self.classifier(x).float(), labels) for x in both]
        losses = dict(
            loss_sdm=match_distributions(
                *map(_of_all_processes, (*both, labels)), self.temperature
            ),
            loss_id=sum(identities) / 2,
        )
        if self.mlm:
            losses['loss_mlm'] = self.mlm.loss(self.text, tokens, patches)
        return losses

    def predict(
        self, inputs: Tensor, data_samples: list[DataSample] | None = None
    ) -> list[DataSample]:
        """Data samples with the ``feature`` [C] of an image and, if it has captions,
        their ``text_features`` [n, C], to be compared by cosine similarity."""
        features = self.embed_images(inputs)[:, 0]
        samples = data_samples or [DataSample() for _ in features]
        for sample, feature in zip(samples, features, strict=True):
            sample.set_field(feature, 'feature')
            if 'tokens' in sample:
                sample.set_field(self.text(sample.tokens)[1], 'text_features')
        return samples


def match_distributions(
    images: Tensor, texts: Tensor, people: Tensor, temperature: float
) -> Tensor:
    """Similarity distribution matching of IRRA, a scalar.

    KL divergence of the softmax of cosine similarities to the uniform distribution over
    pairs of the same person, from text to image and from image to text.

    Args:
        images: [B, C].
        texts: [B, C].
        people: Identities [B].
        temperature: Divides the similarities.
    """
    images, texts = (normalize(each.float(), dim=1) for each in (images, texts))
    with torch.autocast(images.device.type, enabled=False):  # too coarse for gradients
        similarities = texts @ images.T / temperature
    same = (people[:, None] == people).float()
    target = (same / same.sum(dim=1, keepdim=True) + 1e-8).log()
    logs = [log_softmax(each, dim=1) for each in (similarities, similarities.T)]
    return sum((each.exp() * (each - target)).sum(dim=1).mean() for each in logs)


def _of_all_processes(x: Tensor) -> Tensor:
    """[B, …] of each process → [processes · B, …], with gradients."""
    return x if get_world_size() == 1 else torch.cat(all_gather(x.contiguous()))
