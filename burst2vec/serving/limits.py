"""What a server takes at once; beyond it a request is refused and nothing of it is kept."""

from dataclasses import dataclass, field, fields

from ..errors import RunError

MEGABYTE = 1_000_000


def _limit(default: float, least: float, about: str):
    return field(default=default, metadata={"least": least, "help": about})


@dataclass(frozen=True)
class Limits:
    """The limits of a server, each an option of ``burst2vec serve``.

    At worst the uploads in memory are ``max_requests`` times ``max_megabytes``.

    Raises:
        RunError: a value below the least that works.

    >>> Limits(batch_size=0)
    Traceback (most recent call last):
    burst2vec.errors.RunError: --batch_size 0 must be 1 or more
    """

    max_megabytes: float = _limit(16.0, 1e-3, "of one request's body; a larger one is refused while it comes in")
    upload_seconds: float = _limit(30.0, 1e-3, "until a request's body must be there")
    max_requests: int = _limit(128, 1, "that are received, wait or are predicted at once")
    batch_size: int = _limit(32, 1, "clips that are predicted at once, fewer where they are long; 1 is one by one")
    max_wait_ms: float = _limit(5.0, 0.0, "that a clip waits for others which are being decoded")
    decoders: int = _limit(4, 1, "threads that decode; one where the model needs preprocessing or vectors")

    def __post_init__(self):
        for each in fields(self):
            value, least = getattr(self, each.name), each.metadata["least"]
            if not least <= value < float("inf"):
                raise RunError(f"--{each.name} {value} must be {least:g} or more")

    @property
    def max_bytes(self) -> int:
        """Of a request's body."""
        return int(self.max_megabytes * MEGABYTE)
