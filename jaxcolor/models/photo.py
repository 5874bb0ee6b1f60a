"""The network that colors photographs: an EfficientNet-Lite0 and a pyramid decoder."""

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxcolor.layers.conv_norm import Images, Valid
from jaxcolor.models.efficientnet import EfficientNetLite
from jaxcolor.models.pyramid import PyramidDecoder

STRIDE = 4  # pixels of the image per chroma, in both directions


class PhotoNet(nn.Module):
    """Return logits [batch, rows, columns, bins] of the chroma of images [batch, height, width, 3].

    Rows and columns are a quarter of height and width, which must divide by 32. The images are gray, and
    normalized as the backbone's weights expect. The backbone's BatchNorm always uses its running averages.
    The last layer starts at 0, so that before training the probabilities are those of the prior.
    """

    bins: int
    width: int = 64
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        self.backbone = EfficientNetLite(output_stride=32, dtype=self.dtype)
        self.decoder = PyramidDecoder(self.width, self.dtype)
        self.classifier = nn.Conv(self.bins, (1, 1), kernel_init=nn.initializers.zeros, dtype=self.dtype)

    def __call__(
        self, x: Images, *, train: bool = False, valid: Valid | None = None
    ) -> Float[Array, "batch rows columns {self.bins}"]:
        """`train` makes the BatchNorm of the decoder use the statistics of the batch."""
        x = self.decoder(self.backbone(x, train=False), train=train, valid=valid)
        return self.classifier(x).astype(jnp.float32)
