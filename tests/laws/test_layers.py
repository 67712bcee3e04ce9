"""The code's own laws: who may import whom, and what may travel to the Hub."""

import ast
import functools
import re
from collections import Counter
from itertools import takewhile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "burst2vec"

LAYERS = [
    {"version", "errors", "parts", "losses", "bias_and_scale", "command_line", "graphs", "shipped_models"},
    {"answers", "files", "locks", "tasks", "__main__"},
    {"waveforms", "waveform_pipeline", "drawing", "enrolment", "markdown", "weights", "msg_gan", "flow_matching"},
    {"frontends", "length_batches", "pooling", "recurrent", "trunks", "heads", "audio", "scoring"},
    {
        "configuration_burst2vec",
        "speech_encoder",
        "conformer",
        "frame_cnn",
        "spectrogram_cnn",
        "waveform_cnn",
        "feature_extraction_burst2vec",
        "data",
        "onnx_inference",
    },
    {"encoders", "training"},
    {"modeling_burst2vec"},
    {"features", "personalising", "recording_bursts"},
    {"pipeline_inputs"},
    {"pipeline_burst2vec"},
    {"experiment", "exporting", "prediction", "serving"},
    {"comparison", "demo", "generation"},
]
ROOMS = {"command_line", "audio", "scoring", "data", "training", "features"}
ROOMS |= {"experiment", "prediction", "serving", "comparison", "demo", "generation"}
SAME_STEM = set()  # no two files share a name, so that a name says which file is meant
LAYER_OF = {name: layer for layer, names in enumerate(LAYERS) for name in names}
TRAVELLERS = {
    "modeling_burst2vec",
    "configuration_burst2vec",
    "feature_extraction_burst2vec",
    "msg_gan",
    "flow_matching",
}


@functools.cache
def imports(path):
    """(module, level, names) of every import in a file, relative ones with their level."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            found.append(((node.module or ""), node.level, [alias.name for alias in node.names]))
        elif isinstance(node, ast.Import):
            found += [(alias.name, 0, []) for alias in node.names]
    return found


def place(path):
    """A file's name in the law: its own, or its room's."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imported_places(path):
    inside = len(path.relative_to(PACKAGE).parts)
    for module, level, _ in imports(path):
        if level == 0 and module.split(".")[0] == "burst2vec":
            yield (module.split(".") + [""])[1] or "the package root"
        elif level == inside:
            yield module.split(".")[0] if module else "the package root"


def test_every_file_has_a_place_in_the_law():
    places = {place(path) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert places <= set(LAYER_OF), f"say in LAYERS where these belong: {places - set(LAYER_OF)}"


def test_a_file_imports_only_from_lower_layers_or_its_own_room():
    broken = []
    for path in PACKAGE.rglob("*.py"):
        if path == PACKAGE / "__init__.py":
            continue
        own = place(path)
        for other in imported_places(path):
            lower = LAYER_OF.get(other, 99) < LAYER_OF[own]
            same_room = other == own and own in ROOMS
            if not lower and not same_room:
                broken.append(f"{path.relative_to(ROOT)} imports {other}")
    assert not broken, broken


def test_nothing_inside_imports_the_package_root():
    broken = [
        str(path.relative_to(ROOT))
        for path in PACKAGE.rglob("*.py")
        if "the package root" in set(imported_places(path))
    ]
    assert not broken, broken


def travelling_files():
    files, todo = set(), set(TRAVELLERS)
    while todo:
        name = todo.pop()
        files.add(name)
        path = PACKAGE / f"{name}.py"
        todo |= {module for module, level, _ in imports(path) if level == 1} - files
    return {PACKAGE / f"{name}.py" for name in files}


def test_what_travels_to_the_hub_is_flat_and_needs_little():
    import sys

    allowed = {"torch", "numpy", "transformers"} | set(sys.stdlib_module_names)
    for path in travelling_files():
        assert path.exists(), f"{path.name} is imported by a travelling file but is not a flat file beside it"
        for module, level, names in imports(path):
            if level:
                assert level == 1 and module and "." not in module, f"{path.name}: from .{module} import {names}"
            else:
                assert module.split(".")[0] in allowed, f"{path.name} imports {module}"


def test_scores_are_numpy_only():
    for path in (PACKAGE / "scoring").rglob("*.py"):
        for module, level, _ in imports(path):
            assert level or module.split(".")[0] not in {"torch", "transformers", "datasets"}, f"{path.name}: {module}"


def test_no_file_is_too_long_to_read_in_one_sitting():
    long = {str(p.relative_to(ROOT)): n for p in PACKAGE.rglob("*.py") if (n := len(p.read_text().splitlines())) > 400}
    assert not long, long


def test_the_picture_of_the_architecture_is_true():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    tree = text[text.index("    burst2vec/") : text.index("    metrics/")]
    drawn = {
        name
        for line in tree.splitlines()[1:]
        for name in takewhile(lambda word: word.endswith((".py", "/")), line.split())
    }
    there = {path.name for path in PACKAGE.glob("*.py")} | {f"{room}/" for room in ROOMS}
    assert drawn == there
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", text, flags=re.MULTILINE))
    assert {int(layer): set(re.findall(r"`(\w+)/?`", names)) for layer, names in rows.items()} == dict(
        enumerate(LAYERS)
    )


def test_files_have_names_of_their_own():
    stems = Counter(path.stem for path in PACKAGE.rglob("*.py") if path.stem != "__init__")
    assert not {stem: count for stem, count in stems.items() if count > 1 and stem not in SAME_STEM}
