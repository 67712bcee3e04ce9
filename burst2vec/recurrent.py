"""Frames → frames that know the ones before them: what may lie between encoder and pooling.

A recurrent part is built as ``recurrent(input_size, **arguments)``, of which a configuration sets the arguments, tells
the features of its frames as ``output_size``, and is called as ``recurrent(frames, frame_mask)``. It leaves the number
of frames as it is, and no frame with sound depends on the padding.
"""

import math

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import initialization as init

from .graphs import becomes_a_graph
from .parts import check_size

MOST_LAYERS = 64
INITIALIZERS = ("uniform", "kaiming_uniform")


class LSTM(nn.Module):
    """Layers of long short-term memory (Hochreiter and Schmidhuber, 1997), torch's own, in float32.

    The clips of a batch are packed: each ends at its own last frame with sound.

    Args:
        input_size: features of a frame.
        hidden_size: units of a layer and direction.
        num_hidden_layers: layers, one over the other.
        bidirectional: a second LSTM in each layer reads the clip from its end; a frame then has both, one after the
            other.
        initializer: how weights begin: ``"uniform"``, all in ±1/√``hidden_size``, as torch's own; or
            ``"kaiming_uniform"``, each matrix in ±√(6 / its inputs), He et al. (2015), and every bias 0.

    Raises:
        ValueError: an argument out of its range, by name.

    >>> LSTM(3, hidden_size=4)(torch.zeros(2, 7, 3)).shape
    torch.Size([2, 7, 4])
    """

    def __init__(
        self,
        input_size: int,
        *,
        hidden_size: int = 512,
        num_hidden_layers: int = 2,
        bidirectional: bool = False,
        initializer: str = "uniform",
    ):
        super().__init__()
        check_size("hidden_size", hidden_size)
        if not 1 <= num_hidden_layers <= MOST_LAYERS:
            raise ValueError(f"num_hidden_layers must be in 1..{MOST_LAYERS}, got {num_hidden_layers}")
        if initializer not in INITIALIZERS:
            raise ValueError(f"initializer must be one of {list(INITIALIZERS)}, got {initializer!r}")
        self.layers = LSTMLayers(
            input_size, hidden_size, num_hidden_layers, batch_first=True, bidirectional=bidirectional
        )
        self.layers.initializer = initializer
        self.output_size = hidden_size * (2 if bidirectional else 1)

    def forward(self, frames, frame_mask=None):
        """``frames`` (batch, frames, input_size) → (batch, frames, output_size), 0 in the padding.

        Args:
            frame_mask: boolean (batch, frames), True where there is sound, which is at the beginning of each row; None:
                everywhere.
        """
        frames = frames.to(self.layers.weight_ih_l0.dtype)
        if torch.onnx.is_in_onnx_export():
            return self.layers.as_onnx(frames, frame_mask)
        with torch.autocast(frames.device.type, enabled=False):  # packed sequences have no kernels in half precision
            if frame_mask is None:
                return self.layers(frames)[0]
            lengths = frame_mask.sum(dim=1).clamp(min=1).cpu()  # a clip without any frame is the pooling's to mark
            frames = frames.masked_fill(~frame_mask[..., None], 0.0)
            if becomes_a_graph() and not self.layers.bidirectional:  # where no frame depends on what is behind it
                return self.layers(frames)[0].masked_fill(~frame_mask[..., None], 0.0)
            packed = pack_padded_sequence(frames, lengths, batch_first=True, enforce_sorted=False)
            return pad_packed_sequence(self.layers(packed)[0], batch_first=True, total_length=frames.shape[1])[0]


class LSTMLayers(nn.LSTM):
    """torch's layers. They begin themselves: transformers passes over a module that has no weights of its own."""

    initializer = "uniform"

    def initialise(self) -> None:
        """Weights and biases as ``initializer`` says."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            if self.initializer == "uniform":
                init.uniform_(parameter, -bound, bound)
            elif parameter.ndim > 1:
                init.kaiming_uniform_(parameter)
            else:
                init.zeros_(parameter)

    def as_onnx(self, frames, frame_mask=None):
        """ONNX's operator LSTM for each layer; torch's would be written out step by step, for one number of frames.

        Shapes as [`LSTM.forward`] has them. ONNX has the gates in the order input, output, forget, cell.
        """
        if frame_mask is None:
            frame_mask = torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device)
        frames = frames.masked_fill(~frame_mask[..., None], 0.0).transpose(0, 1)
        lengths = frame_mask.sum(dim=1).clamp(min=1).to(torch.int32)
        ends = ("", "_reverse") if self.bidirectional else ("",)
        direction = "bidirectional" if self.bidirectional else "forward"
        for layer in range(self.num_layers):
            inputs, states, biases = [], [], []
            for end in ends:
                names = (f"weight_ih_l{layer}", f"weight_hh_l{layer}", f"bias_ih_l{layer}", f"bias_hh_l{layer}")
                gates = [_in_onnx_order(getattr(self, name + end)) for name in names]
                inputs.append(gates[0])
                states.append(gates[1])
                biases.append(torch.cat(gates[2:]))
            frames = torch.onnx.ops.symbolic(
                "LSTM",
                (frames, torch.stack(inputs), torch.stack(states), torch.stack(biases), lengths),
                {"hidden_size": self.hidden_size, "direction": direction},
                dtype=frames.dtype,
                shape=(frames.shape[0], len(ends), frames.shape[1], self.hidden_size),
            )
            frames = frames.transpose(1, 2).flatten(2)  # (frames, batch, directions · hidden)
        return frames.transpose(0, 1).masked_fill(~frame_mask[..., None], 0.0)


def _in_onnx_order(gates: torch.Tensor) -> torch.Tensor:
    """Rows of torch's gates, input, forget, cell, output, as ONNX has them."""
    entry, forget, cell, output = gates.chunk(4)
    return torch.cat([entry, output, forget, cell])


RECURRENT = {"lstm": LSTM}
