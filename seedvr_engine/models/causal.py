"""Convolutions that are causal in time and can be fed piece by piece.

A temporal kernel of 3 looks at the frame itself and two frames back; before the first frame, that frame is
repeated. So a clip may come in pieces of any length: each convolution keeps the last frames of its input
until the next piece, and the result equals the uncut one.

Source: the causal 3D convolution of MAGVIT-v2 (arXiv 2310.05737), as the released SeedVR2 autoencoder uses
it.
"""

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Of batch x channels x frames x rows; PyTorch's own limit (ConvParams::use_mkldnn).
_SMALL = 20480


class Past:
    """What the causal convolutions remember of one clip between its pieces.

    place: device that holds the kept frames between pieces; where they were computed when not given. In host
        memory they leave the device's memory to the piece under way.
    frames: longest piece, in frames, that goes through a layer at once; longer ones are cut. None: never cut.
    """

    def __init__(self, frames: int | None = None, place: torch.device | None = None) -> None:
        self.frames = frames
        self._place = place
        self._kept: dict[nn.Module, Tensor] = {}

    def pieces(self, video: Tensor) -> tuple[Tensor, ...]:
        """Cuts (B, C, F, H, W) into pieces of at most `frames` frames."""
        return video.split(self.frames, dim=2) if self.frames else (video,)

    def is_new(self, layer: nn.Module) -> bool:
        """Whether the layer has not seen a frame of this clip yet."""
        return layer not in self._kept

    def take(self, layer: nn.Module) -> Tensor:
        """The frames kept for the layer (B, C, k, H, W), where they wait."""
        return self._kept[layer]

    def keep(self, layer: nn.Module, frames: Tensor) -> None:
        """Keeps a copy of the frames (B, C, k, H, W), which may be none."""
        if self._place is None or self._place == frames.device:
            self._kept[layer] = frames.clone()
            return
        pinned = frames.is_cuda and self._place.type == "cpu"
        kept = torch.empty_like(frames, device=self._place, pin_memory=pinned)
        self._kept[layer] = kept.copy_(frames)


class CausalConv3d(nn.Conv3d):
    """A convolution over (time, height, width), causal in time.

    padding: in space, as of `nn.Conv3d`; the padding in time is its own.
    corner: pad one zero row at the bottom and one zero column at the right instead (downsampling).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int, int] = (3, 3, 3),
        stride: tuple[int, int, int] = (1, 1, 1),
        corner: bool = False,
    ) -> None:
        padding = 0 if corner else kernel_size[1] // 2
        self._sides = (0, padding, padding)
        super().__init__(in_channels, out_channels, kernel_size, stride, padding=self._sides)
        self.corner = corner

    # A convolution that remembers takes more than one tensor.
    def forward(  # type: ignore[override]
        self, frames: Iterable[Tensor], count: int, past: Past
    ) -> Tensor:
        """Convolves the next frames of a clip.

        frames: pieces (B, C, k, H, W) that hold `count` frames together; an iterator is asked for one piece
            after another, so that each may be made when it is wanted and only their concatenation need exist.
        Returns (B, C_out, F_out, H_out, W_out); F_out may be 0 while a strided kernel waits for more frames.
        """
        x = self._after_past(iter(frames), count, past)
        kernel, stride = self.kernel_size[0], self.stride[0]
        steps = max(0, (x.shape[2] - kernel) // stride + 1)
        if kernel > stride:
            past.keep(self, x[:, :, steps * stride :])
        if steps == 0:
            return x.new_empty(
                len(x), self.out_channels, 0, x.shape[3] // self.stride[1], x.shape[4] // self.stride[2]
            )
        x = F.pad(x, (0, 1, 0, 1)) if self.corner else x
        if kernel == 1:
            return self._frame_by_frame(x)
        return self._small(x) if self._is_small(x) else super().forward(x)

    def _frame_by_frame(self, x: Tensor) -> Tensor:
        # Without a temporal kernel the frames are a batch of pictures, which goes 1.5 to 5 times as fast on a
        # CPU.
        pictures = x.transpose(1, 2).flatten(0, 1)
        out = F.conv2d(pictures, self.weight[:, :, 0], self.bias, self.stride[1:], self.padding[1:])
        return out.unflatten(0, (len(x), -1)).transpose(1, 2)

    def _is_small(self, x: Tensor) -> bool:
        if x.device.type != "cpu" or torch.is_grad_enabled() or x.dtype != torch.float32:
            return False
        return x.shape[:4].numel() <= _SMALL and torch.backends.mkldnn.is_available()

    def _small(self, x: Tensor) -> Tensor:
        # PyTorch thinks oneDNN not worth calling here; the loop that it takes instead needs 6 times as long.
        return torch.mkldnn_convolution(
            x, self.weight, self.bias, self._sides, self.stride, self.dilation, self.groups
        )

    def parts(self, x: Tensor) -> tuple[Tensor, ...]:
        """How (B, C, F, H, W) is handed over to be activated: by frame where they are copied anyway."""
        return (x,) if self.kernel_size[0] == 1 else x.split(1, dim=2)

    def _after_past(self, frames: Iterator[Tensor], count: int, past: Past) -> Tensor:
        """Puts the kept frames, or the repeated first one, in front of the next ones."""
        first = next(frames)
        if self.kernel_size[0] == 1:
            head = first[:, :, :0]
        elif past.is_new(self):
            head = first[:, :, :1].expand(-1, -1, self.kernel_size[0] - 1, -1, -1)
        else:
            head = past.take(self)
        if head.shape[2] == 0 and first.shape[2] == count:
            return first
        if torch.is_grad_enabled():
            x = torch.cat((head.to(first.device), first, *frames), dim=2)
            return x.contiguous(memory_format=torch.channels_last_3d)
        batch, channels, _, height, width = first.shape
        x = first.new_empty(batch, head.shape[2] + count, height, width, channels).movedim(-1, 1)
        start = head.shape[2]
        x[:, :, :start].copy_(head, non_blocking=True)
        part: Tensor | None = first
        del head, first
        while part is not None:
            x[:, :, start : start + part.shape[2]] = part
            start += part.shape[2]
            del part  # before the next one is made
            part = next(frames, None)
        return x


class PointConv3d(nn.Conv3d):
    """A convolution of kernel 1: a linear layer of the channels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, H, W) -> (B, C_out, F, H, W)."""
        return F.linear(x.movedim(1, -1), self.weight.flatten(1), self.bias).movedim(-1, 1)
