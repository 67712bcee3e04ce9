"""What ``import burst2vec`` imports: little beside what transformers' own pipelines do."""

import ast
import sys

import burst2vec
from tests.laws.test_layers import PACKAGE

# Beside the standard library. transformers' pipelines import all of these but the two small ones that read sound.
LIGHT = {"numpy", "torch", "transformers", "scipy.fft", "scipy.special", "soundfile", "soxr"}
SLOW_OF_TRANSFORMERS = {"Trainer", "TrainingArguments", "TrainerCallback", "ProgressCallback", "HfArgumentParser"}


def imported_at_once(path):
    """(file or None, module, names) of each import that runs when the file is imported."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = path.parents[node.level - 1]
            target = folder.joinpath(*(node.module or "").split("."))
            names = [alias.name for alias in node.names]
            yield from ((file, "", names) for file in files_of(target, names))
        elif isinstance(node, ast.ImportFrom):
            yield None, node.module, [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((None, alias.name, []) for alias in node.names)


def files_of(target, names):
    """The files of this package that an import of names from a module runs, its folders' first."""
    inside = [target, *target.parents][: len(target.relative_to(PACKAGE).parts)]
    found = [folder / "__init__.py" for folder in inside] + [target.with_suffix(".py")]
    found += [target / f"{name}.py" for name in names]
    return [file for file in found if file.exists()]


def test_what_the_door_imports_takes_no_longer_than_transformers_pipelines():
    done, todo, slow = set(), [PACKAGE / "__init__.py"], []
    while todo:
        path = todo.pop()
        if path in done:
            continue
        done.add(path)
        for file, module, names in imported_at_once(path):
            if file is not None:
                todo.append(file)
            elif not is_light(module, names):
                slow.append(f"{path.relative_to(PACKAGE)}: {module}")
    assert {"pipeline_burst2vec", "speech_encoder", "decode"} <= {path.stem for path in done}
    assert not slow, f"import these where they are used: {slow}"


def is_light(module, names):
    root = module.split(".")[0]
    if root == "transformers":
        return not (SLOW_OF_TRANSFORMERS & set(names) or "trainer" in module)
    return root in sys.stdlib_module_names or root in LIGHT or module in LIGHT


def test_every_public_name_is_there():
    assert all(getattr(burst2vec, name) is not None for name in burst2vec.__all__)
    assert set(burst2vec.__all__) <= set(dir(burst2vec))
