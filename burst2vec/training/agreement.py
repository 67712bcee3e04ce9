"""Several processes of one run: the main one decides, and the others receive the result."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from ..locks import lock_folder


def ask_main(question: Callable):
    """Call ``question()`` in the main process; every process returns its result, or raises its error.

    Every process of the run must call it. An error in one process alone would let the others wait for ever.
    """
    answer = error = None
    if PartialState().is_main_process:
        try:
            answer = question()
        except Exception as raised:
            error = raised
    answer, error = broadcast_object_list([answer, error])
    if error is not None:
        raise error
    return answer


@contextmanager
def locked_by_main(folder: str | Path) -> Iterator[None]:
    """The folder is this run's alone while the ``with`` block lasts; its main process holds the lock.

    Raises:
        FolderInUseError: another living run holds it.
        WriteError: a folder that cannot be written into.
    """
    with ExitStack() as lock:
        ask_main(lambda: lock.enter_context(lock_folder(folder)))
        yield
