"""Several processes of one run: what the main one finds, all of them go by."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from ..locks import lock_folder


def ask_main(question: Callable):
    """What ``question()`` gives in the main process, in every process; or the error that it raises there.

    Every process of the run must call it. Where one alone raised an error, the others would wait for it for ever.
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
