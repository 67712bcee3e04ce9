"""Whether a model's weights are all there, and all of them numbers: what was drawn at random must not be scored."""

from collections.abc import Collection

import torch
from torch import nn

MASK_EMBEDDING = "masked_spec_embed"  # of training alone; some published encoders lack it, and it is drawn at each load


def weights_not_finite(model: nn.Module) -> list[str]:
    """The names of the parameters and buffers that hold NaN or an infinity, statistics of training clips included.

    >>> layer = nn.BatchNorm1d(2)
    >>> layer.running_var[1] = float("nan")
    >>> weights_not_finite(layer)
    ['running_var']
    """
    return [
        name
        for tensors in (model.named_parameters(), model.named_buffers())
        for name, values in tensors
        if values.is_floating_point() and not values.is_meta and not torch.isfinite(values).all()
    ]


def refuse_not_finite(model: nn.Module) -> None:
    """Refuse a model that would answer NaN.

    Raises:
        ValueError: a parameter or buffer is not finite; says how many and names the first.
    """
    if wrong := weights_not_finite(model):
        raise ValueError(f"{len(wrong)} of the model's weights are not finite, such as {wrong[0]}; train it again")


def refuse_missing(missing: Collection[str], spared: str | None = None) -> None:
    """Refuse a checkpoint without some of its model's weights: transformers would draw those at random.

    Args:
        missing: ``missing_keys`` of transformers' loading info.
        spared: the end of a name that may be missing.

    Raises:
        ValueError: says how many are missing and names the first.
    """
    if lacking := sorted(name for name in missing if spared is None or not name.endswith(spared)):
        raise ValueError(
            f"the checkpoint lacks {len(lacking)} weights, such as {lacking[0]}; they would be random. Give the folder "
            "of a model that was saved whole"
        )


def refuse_mismatched(mismatched: Collection[tuple]) -> None:
    """Refuse a checkpoint whose weights do not fit the model that its configuration describes.

    Args:
        mismatched: ``mismatched_keys`` of transformers' loading info: name, shape there, and shape here.

    Raises:
        ValueError: names the first, with both shapes.
    """
    if mismatched:
        name, there, here = min(mismatched)
        raise ValueError(
            f"{len(mismatched)} weights are of another shape than config.json says, such as {name}: {tuple(there)} in "
            f"the checkpoint, and {tuple(here)} here"
        )
