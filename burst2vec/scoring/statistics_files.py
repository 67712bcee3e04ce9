"""Statistics of real clips from a file: ``{"mu": (features,), "sigma": (features, features)}``, as the organisers do.

Their files are pickles, and a pickle is a program. So it is read by a reader that calls nothing but the two classes
below, which hold what the file says of an array; the arrays are then made of these bytes here. Converted once, the
numbers lie in an ``.npz`` file, which is data.
"""

import io
import math
import pickle
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ..errors import CorpusError
from ..files import write_whole
from .generated import Gaussian

ENDINGS = (".npz", ".pkl")
_LARGEST = 256 * 2**20  # bytes; statistics of 4,096 features are 128 MiB
_ALLOWED = "a dictionary of numpy arrays of real numbers alone"
_MODULES = ("numpy.core.", "numpy._core.")  # before and since numpy 2


def read_statistics(path: str | Path) -> Gaussian:
    """Mean and covariance from a ``.npz`` or ``.pkl`` file of arrays named ``mu`` and ``sigma``.

    Raises:
        CorpusError: no such file, one of another kind or content, or numbers that are no mean and covariance.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _LARGEST:
            raise CorpusError(f"{path}: {path.stat().st_size} bytes; statistics files have up to {_LARGEST}")
        content = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror}") from error
    arrays = read_pickled_arrays(content, str(path)) if path.suffix == ".pkl" else _read_npz(content, str(path))
    if missing := [name for name in ("mu", "sigma") if name not in arrays]:
        raise CorpusError(f"{path}: holds no {' and no '.join(missing)}, but {', '.join(arrays) or 'nothing'}")
    mean, covariance = (np.asarray(arrays[name], dtype=np.float64) for name in ("mu", "sigma"))
    if mean.ndim != 1 or not mean.size or covariance.shape != 2 * mean.shape:
        raise CorpusError(
            f"{path}: mu has shape {mean.shape} and sigma {covariance.shape}; they must be (features,) and "
            "(features, features)"
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise CorpusError(f"{path}: mu or sigma holds numbers that are not finite")
    return Gaussian(mean, covariance)


def write_statistics(statistics: Gaussian, path: str | Path) -> None:
    """Write mean and covariance as ``mu`` and ``sigma`` into an ``.npz`` file, whole or not at all."""
    file = io.BytesIO()
    np.savez(file, mu=statistics.mean, sigma=statistics.covariance)
    write_whole(path, file.getvalue())


def read_pickled_arrays(content: bytes, name: str = "the pickle") -> dict[str, np.ndarray]:
    """The arrays of a pickled dictionary; nothing in it is run.

    Args:
        content: of the file, of any protocol.
        name: what to call it in an error.

    Raises:
        CorpusError: it holds anything but numpy arrays of real numbers by name.

    >>> read_pickled_arrays(pickle.dumps({"mu": np.array([1.0, 2.0])}))
    {'mu': array([1., 2.])}
    """
    try:
        found = _ArrayReader(io.BytesIO(content)).load()
    except CorpusError as error:
        raise CorpusError(f"{name}: {error}; it must hold {_ALLOWED}") from error
    except Exception as error:  # a damaged or hostile pickle makes the reader stumble over anything
        raise CorpusError(
            f"{name}: is no pickle of arrays ({type(error).__name__}); it must hold {_ALLOWED}"
        ) from error
    if type(found) is not dict or not all(type(key) is str and type(value) is _Array for key, value in found.items()):
        raise CorpusError(f"{name}: holds something else; it must hold {_ALLOWED}")
    return {key: value.made(f"{name}: {key}") for key, value in found.items()}


def _read_npz(content: bytes, name: str) -> dict[str, np.ndarray]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (ValueError, OSError, EOFError, BadZipFile, AttributeError, TypeError) as error:
        raise CorpusError(f"{name}: is no .npz file of arrays ({type(error).__name__}: {error})") from error


class _Type:
    """In the place of numpy.dtype: the name of a type of real numbers, and its order of bytes."""

    __slots__ = ("name", "order")

    def __init__(self, name, *flags):
        if name not in ("f4", "f8", "i4", "i8"):
            raise CorpusError(f"an array of type {str(name)[:20]!r}")
        self.name, self.order = name, "<"

    def __setstate__(self, state):
        if state[1] not in ("<", ">"):
            raise CorpusError(f"an array of the order of bytes {str(state[1])[:20]!r}")
        self.order = state[1]


class _Array:
    """In the place of numpy.ndarray: what the file says of one."""

    __slots__ = ("shape", "type", "by_columns", "content")

    def __setstate__(self, state):
        _, self.shape, self.type, self.by_columns, self.content = state

    def made(self, name: str) -> np.ndarray:
        shape, kind, content = (getattr(self, field, None) for field in ("shape", "type", "content"))
        is_shape = type(shape) is tuple and all(type(size) is int and size >= 0 for size in shape)
        if not is_shape or type(kind) is not _Type or type(content) not in (bytes, bytearray):
            raise CorpusError(f"{name} is no array; the file must hold {_ALLOWED}")
        dtype = np.dtype(kind.order + kind.name)
        if len(content) != math.prod(shape) * dtype.itemsize:
            raise CorpusError(f"{name} has shape {shape} and {len(content)} bytes, which do not fit")
        return np.frombuffer(content, dtype).reshape(shape, order="F" if self.by_columns else "C")


def _empty_array(kind, shape, type_code):
    return _Array()


def _array_of_buffer(content, kind, shape, order):
    array = _Array()
    array.__setstate__((1, shape, kind, order == "F", content))
    return array


def _latin_bytes(text, encoding):
    """Bytes, as Python 3 writes them for Python 2."""
    if encoding != "latin1":
        raise CorpusError(f"bytes in the encoding {str(encoding)[:20]!r}")
    return text.encode("latin1")


class _ArrayReader(pickle.Unpickler):
    _STAND_INS = {
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Type,
        ("_codecs", "encode"): _latin_bytes,
        **{(module + "multiarray", "_reconstruct"): _empty_array for module in _MODULES},
        **{(module + "numeric", "_frombuffer"): _array_of_buffer for module in _MODULES},
    }

    def find_class(self, module, name):
        if (module, name) not in self._STAND_INS:
            raise CorpusError(f"names {module}.{name}, which is not run")
        return self._STAND_INS[module, name]

    def persistent_load(self, pid):
        raise CorpusError("names something outside the file")
