"""3D networks of MONAI as two parts, one after the other: fine maps, which Grad-CAM reads, and the coarse last ones.

MONAI is imported where a network is built: it takes seconds, and slices need none of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from monai.networks.nets.swin_unetr import SwinTransformer

_GROUPS = ("group", {"num_groups": 8})
"""Group normalisation: a volume's tokens depend on no other volume, in training either."""


@dataclass(frozen=True, eq=False)
class Backbone:
    """fine: volumes (B, in, X, Y, Z) -> maps, a cell each fine_stride voxels; coarse: those -> (B, channels, x, y, z),
    a cell each stride voxels."""

    fine: nn.Module
    coarse: nn.Module
    fine_stride: int
    stride: int
    channels: int


def _small(in_channels: int) -> Backbone:
    """A narrow ResNet of seven convolutions: 0.8 GMAC for 64^3 voxels."""
    from monai.networks.nets.resnet import ResNet

    net = ResNet(
        block="basic", layers=[1, 1, 1, 1], block_inplanes=[16, 32, 64, 64], n_input_channels=in_channels,
        conv1_t_size=3, conv1_t_stride=2, no_max_pool=True, feed_forward=False, norm=_GROUPS,
    )  # fmt: skip
    fine = nn.Sequential(net.conv1, net.bn1, net.act, net.layer1, net.layer2)
    return Backbone(fine, net.layer3, 4, 8, 64)


def _resnet18(in_channels: int) -> Backbone:
    from monai.networks.nets.resnet import ResNet

    net = ResNet(
        block="basic", layers=[2, 2, 2, 2], block_inplanes=[64, 128, 256, 512], n_input_channels=in_channels,
        conv1_t_size=7, conv1_t_stride=2, no_max_pool=True, feed_forward=False, norm=_GROUPS,
    )  # fmt: skip
    fine = nn.Sequential(net.conv1, net.bn1, net.act, net.layer1, net.layer2, net.layer3)
    return Backbone(fine, net.layer4, 8, 16, 512)


def _densenet121(in_channels: int) -> Backbone:
    from monai.networks.nets.densenet import DenseNet121

    parts = list(DenseNet121(spatial_dims=3, in_channels=in_channels, out_channels=1, norm=_GROUPS).features)
    return Backbone(nn.Sequential(*parts[:7]), nn.Sequential(*parts[7:]), 8, 32, 1024)


class _SwinFine(nn.Module):
    """Patches and the first two stages of SwinUNETR's encoder."""

    def __init__(self, swin: SwinTransformer) -> None:
        super().__init__()
        self.patch_embed, self.first, self.second = swin.patch_embed, swin.layers1[0], swin.layers2[0]

    def forward(self, volumes: Tensor) -> Tensor:
        maps: Tensor = self.second(self.first(self.patch_embed(volumes)).contiguous())
        return maps


def _swin_unetr(in_channels: int) -> Backbone:
    from monai.networks.nets.swin_unetr import SwinUNETR

    swin = SwinUNETR(in_channels=in_channels, out_channels=1, feature_size=24).swinViT
    return Backbone(_SwinFine(swin), nn.Sequential(swin.layers3[0], swin.layers4[0]), 8, 32, 384)


BACKBONES: dict[str, Callable[[int], Backbone]] = {
    "small": _small,
    "resnet18": _resnet18,
    "densenet121": _densenet121,
    "swin_unetr": _swin_unetr,
}
"""Name -> untrained network for so many input channels."""
