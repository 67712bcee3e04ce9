"""Statistics files of others: arrays are read to the last bit, and nothing else is, nor run."""

import os
import pickle
import pickletools
from collections import OrderedDict

import numpy as np
import pytest

from burst2vec.errors import CorpusError
from burst2vec.scoring.generated import gaussian_of
from burst2vec.scoring.statistics_files import read_pickled_arrays, read_statistics, write_statistics

STATISTICS = gaussian_of(np.random.default_rng(0).normal(size=(30, 5)))


class Runs:
    """A pickle of this calls a function with arguments."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<i8"])
def test_arrays_of_every_protocol_are_read_as_they_are(protocol, dtype):
    saved = {"mu": np.arange(3).astype(dtype), "sigma": np.asfortranarray(np.arange(6).reshape(2, 3).astype(dtype))}
    read = read_pickled_arrays(pickle.dumps(saved, protocol))
    for name, array in saved.items():
        assert np.array_equal(read[name], array) and read[name].dtype == array.dtype


def test_arrays_of_numpy_1_are_read_too():
    content = pickle.dumps({"mu": np.ones(2)}, 2)
    assert b"numpy._core" in content
    assert read_pickled_arrays(content.replace(b"numpy._core", b"numpy.core"))["mu"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "hostile",
    [
        Runs(os.mkdir, "ran"),
        {"mu": np.ones(2), "sigma": Runs(os.mkdir, "ran")},
        {"mu": Runs(eval, "__import__('os').mkdir('ran')")},
        Runs(getattr, "a", "upper"),
        {"mu": Runs(np.load, "ran")},
    ],
    ids=["alone", "beside an array", "eval", "getattr", "numpy's own function"],
)
def test_a_pickle_that_calls_anything_is_refused_and_nothing_runs(hostile, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorpusError, match="which is not run; it must hold a dictionary of numpy arrays"):
        read_pickled_arrays(pickle.dumps(hostile), "a.pkl")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "other",
    [
        np.ones(2),
        [np.ones(2)],
        {"mu": 1.0},
        {"mu": [1.0]},
        {1: np.ones(2)},
        {"mu": np.array([print], dtype=object)},
        {"mu": np.array([1j])},
        {"mu": np.array(["a"])},
        {"mu": np.float64(1.0)},
        {"mu": np.ones(2, dtype=[("a", "f8")])},
        OrderedDict(mu=np.ones(2)),
    ],
)
def test_anything_but_a_dictionary_of_arrays_of_real_numbers_is_refused(other):
    with pytest.raises(CorpusError, match="it must hold a dictionary of numpy arrays of real numbers alone"):
        read_pickled_arrays(pickle.dumps(other))


def test_an_array_that_claims_more_than_it_holds_is_refused_before_memory_is_taken():
    content = pickle.dumps({"mu": np.ones(200)}, 2)
    size = b"K\xc8"  # BININT1 200
    assert content.count(size) == 1
    with pytest.raises(CorpusError, match="which do not fit"):
        read_pickled_arrays(content.replace(size, b"J\xff\xff\xff\x7f"))


def test_damaged_pickles_are_refused_wherever_they_are_cut():
    content = pickle.dumps({"mu": np.ones(2)})
    for end in range(len(content)):
        with pytest.raises(CorpusError):
            read_pickled_arrays(content[:end])


def test_changing_what_the_reader_hands_out_is_refused():
    """BUILD on a stand-in's class would change it for every later file."""
    program = b"cnumpy\nndarray\n}X\x04\x00\x00\x00madeNsb."
    assert "BUILD" in [opcode.name for opcode, *_ in pickletools.genops(program)]
    with pytest.raises(CorpusError):
        read_pickled_arrays(program)
    assert read_pickled_arrays(pickle.dumps({"mu": np.ones(2)}))["mu"].tolist() == [1.0, 1.0]


def test_statistics_are_converted_once_without_a_change(tmp_path):
    (tmp_path / "Awe_Val_wav.pkl").write_bytes(pickle.dumps({"mu": STATISTICS.mean, "sigma": STATISTICS.covariance}))
    read = read_statistics(tmp_path / "Awe_Val_wav.pkl")
    write_statistics(read, tmp_path / "Awe.npz")
    for statistics in (read, read_statistics(tmp_path / "Awe.npz")):
        assert np.array_equal(statistics.mean, STATISTICS.mean)
        assert np.array_equal(statistics.covariance, STATISTICS.covariance)


@pytest.mark.parametrize(
    "arrays, said",
    [
        ({"mu": np.ones(2)}, "holds no sigma, but mu"),
        ({"mu": np.ones(2), "sigma": np.eye(3)}, r"mu has shape \(2,\) and sigma \(3, 3\)"),
        ({"mu": np.full(2, np.nan), "sigma": np.eye(2)}, "not finite"),
    ],
)
def test_what_is_no_mean_and_covariance_is_refused(arrays, said, tmp_path):
    path = tmp_path / "Awe.pkl"
    path.write_bytes(pickle.dumps(arrays))
    with pytest.raises(CorpusError, match=said):
        read_statistics(path)


def test_a_file_that_is_not_there_or_no_npz_is_refused_by_name(tmp_path):
    (tmp_path / "Awe.npz").write_bytes(b"no")
    for name in ("Awe.npz", "Fear.npz"):
        with pytest.raises(CorpusError, match=name):
            read_statistics(tmp_path / name)
