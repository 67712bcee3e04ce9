"""What setup.py asks for can be installed together, and is what the tests run with."""

import re
import runpy
from pathlib import Path

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.10", "3.11", "3.12")


@pytest.fixture
def packaged(monkeypatch):
    """What setup.py tells setuptools."""
    told = {}
    monkeypatch.setattr(setuptools, "setup", told.update)
    runpy.run_path(str(ROOT / "setup.py"))
    return told


def versions_in_constraints(python):
    """The exact versions of constraints.txt, by name, for one version of Python on Linux."""
    machine = {"python_full_version": f"{python}.9", "python_version": python, "sys_platform": "linux", "extra": ""}
    lines = [line.split("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    pins = [Requirement(line) for line in lines if line]
    here = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(machine)]
    return {pin.name: Version(re.fullmatch(r"==(.+)", str(pin.specifier))[1]) for pin in here}


def requirements(packaged):
    return [*packaged["install_requires"], *sum(packaged["extras_require"].values(), [])]


def releases(specifier: SpecifierSet, major: int) -> set[int]:
    """The minor releases that a requirement allows."""
    return {minor for minor in range(200) if specifier.contains(f"{major}.{minor}.0")}


def test_torch_and_its_companions_are_of_one_release(packaged):
    asked = [Requirement(text) for text in requirements(packaged)]
    of_torch = [releases(one.specifier, 2) for one in asked if one.name in ("torch", "torchaudio")]
    torch = set().union(*of_torch)
    assert len(torch) == 1, f"torch and torchaudio may be of the releases {sorted(torch)}, which do not import together"
    for requirement in asked:
        if requirement.name == "torchvision":
            assert releases(requirement.specifier, 0) == {release + 15 for release in torch}  # 0.26 belongs to 2.11


@pytest.mark.parametrize("python", PYTHONS)
def test_the_tested_versions_are_ones_that_setup_allows(packaged, python):
    tested = versions_in_constraints(python)
    for text in requirements(packaged):
        asked = Requirement(text)
        assert asked.name in tested, f"constraints.txt has no {asked.name} for Python {python}"
        assert asked.specifier.contains(tested[asked.name]), f"{asked}: constraints.txt has {tested[asked.name]}"


def test_every_python_that_is_allowed_is_tested(packaged):
    allowed = SpecifierSet(packaged["python_requires"])
    assert [f"3.{minor}" for minor in range(30) if allowed.contains(f"3.{minor}")] == list(PYTHONS)
