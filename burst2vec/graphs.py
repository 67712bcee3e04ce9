"""Whether a model is being exported, and then what it computes must be one graph for any clips."""

import torch


def becomes_a_graph() -> bool:
    """Whether a model's call is recorded, by ``torch.export`` or ``torch.jit.trace``, to run without this code.

    What runs may then not depend on values: where a loop over clips or packed sequences are faster, an equal form in
    one piece takes their place.
    """
    return torch.compiler.is_exporting() or torch.jit.is_tracing()
