"""Refusals are one family, whatever else they are; a command line needs to know no other class."""

import ast
import errno
import pickle
from pathlib import Path

import pytest

from burst2vec import errors
from burst2vec.errors import Burst2VecError, DivergenceError, MissingPackageError, SubmissionError, WriteError

PACKAGE = Path(errors.__file__).parent
REFUSING_ROOMS = ("data", "features", "training", "experiment", "comparison")
FAMILY = [found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, Exception)]


def test_every_refusal_is_of_the_family_and_says_what_it_is_for():
    assert len(FAMILY) > 10
    for refusal in FAMILY:
        assert issubclass(refusal, Burst2VecError) and refusal.__doc__


def test_rooms_refuse_by_the_family_alone():
    """What a user can mend and is of a standard class would end a command line in a traceback."""
    standard = {"ValueError", "LookupError", "KeyError", "RuntimeError", "OSError", "ImportError", "FloatingPointError"}
    standard |= {"FileExistsError", "FileNotFoundError", "PermissionError", "ArithmeticError", "Exception"}
    broken = [
        f"{path.relative_to(PACKAGE)}, line {node.lineno}: raise {node.exc.func.id}"
        for room in REFUSING_ROOMS
        for path in (PACKAGE / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name)
        if node.exc.func.id in standard
    ]
    assert not broken, broken


@pytest.mark.parametrize(
    ("refusal", "standard"),
    [
        (WriteError("/full/disk", OSError(errno.EDQUOT, "Disk quota exceeded")), OSError),
        (MissingPackageError("pip install av"), ImportError),
        (DivergenceError("step 3: the loss is nan"), FloatingPointError),
        (Burst2VecError("a value out of its range"), ValueError),
    ],
)
def test_a_refusal_is_of_the_standard_class_too_and_goes_from_process_to_process(refusal, standard):
    assert isinstance(refusal, standard) and isinstance(refusal, Burst2VecError)
    again = pickle.loads(pickle.dumps(refusal))
    assert type(again) is type(refusal) and str(again) == str(refusal)


def test_a_submissions_problems_go_from_process_to_process():
    again = pickle.loads(pickle.dumps(SubmissionError(["line 3: no number"])))
    assert str(again) == "line 3: no number"
