"""ExtraAdam: Adam with extrapolation from the past of a game of two (Gidel et al. 2019, Algorithm 4)."""

import torch


class ExtraAdam(torch.optim.Adam):
    """Adam for games, where following both players' gradients runs in circles.

    A step is two: from the weights w, :meth:`extrapolate` takes an Adam step to w + ½; with the gradient there,
    :meth:`step` takes one from w. Both feed the moments. Arguments are those of ``torch.optim.Adam``.
    """

    @torch.no_grad()
    def extrapolate(self) -> None:
        """To the point at which the next gradient is taken."""
        self._anchors = [weights.clone() for group in self.param_groups for weights in group["params"]]
        super().step()

    @torch.no_grad()
    def step(self, closure=None):
        """From where the extrapolation began.

        Raises:
            RuntimeError: there was none.
        """
        anchors = self.__dict__.pop("_anchors", None)
        if anchors is None:
            raise RuntimeError("extrapolate() comes before step()")
        weights = [each for group in self.param_groups for each in group["params"]]
        for there, anchor in zip(weights, anchors, strict=True):
            there.copy_(anchor)
        return super().step(closure)
