"""From the spectrogram to frames: two blocks of convolutions, and all channels of a moment in one vector.

decibels (chunks, 128, M) → frames (chunks, T, dim), T a quarter of M (rounded up), or half of it
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from steelyard.models.music.mel import BANDS


class Block(nn.Module):  # type: ignore[misc]
    """Two convolutions beside a third."""

    def __init__(self, inward: int, outward: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inward, outward, 3, stride, padding=1)
        self.bn1 = nn.BatchNorm2d(outward)
        self.conv2 = nn.Conv2d(outward, outward, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(outward)
        self.conv3 = nn.Conv2d(inward, outward, 3, stride, padding=1)
        self.bn3 = nn.BatchNorm2d(outward)

    def forward(self, values: Tensor) -> Tensor:
        """An image of fewer places."""
        main = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(values)))))
        return functional.relu(main + self.bn3(self.conv3(values)))

    def fold(self) -> None:
        """Put the norms, which are fixed, into the convolutions before them."""
        for number in "123":
            convolution, norm = getattr(self, f"conv{number}"), getattr(self, f"bn{number}")
            setattr(self, f"conv{number}", fuse_conv_bn_eval(convolution, norm))
            setattr(self, f"bn{number}", nn.Identity())


class Front(nn.Module):  # type: ignore[misc]
    """What makes frames of a spectrogram."""

    def __init__(self, channels: int, dim: int, *, label_rate: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            Block(1, channels, (2, 2)), Block(channels, channels, (2, 2 if label_rate == 25 else 1))
        )
        self.linear = nn.Linear(BANDS // 4 * channels, dim)

    def forward(self, decibels: Tensor) -> Tensor:
        """Frames (chunks, T, dim)."""
        image = self.conv(decibels[:, None].contiguous(memory_format=torch.channels_last))
        return self.linear(image.permute(0, 3, 1, 2).flatten(2))

    def fold(self) -> None:
        """Put the norms of all blocks into their convolutions, and lay these out as they are fastest."""
        for block in self.conv:
            block.fold()
        self.conv.to(memory_format=torch.channels_last)
