"""No function writes a file in place: what ``burst2vec.files`` writes is whole or not there."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHERE = ("burst2vec", "examples", "dataset_scripts", "metrics")
WRITER = "burst2vec/files.py"

# The functions of each file that may, with why.
IN_PLACE = {
    "burst2vec/command_line/__init__.py": {"main": "the null device, once nobody reads the list"},
    "burst2vec/data/preprocessing/journal.py": {"__enter__": "a journal grows by whole lines, under a lock"},
    "burst2vec/data/preprocessing/folders.py": {"_make_all": "moves what a worker wrote, once the journal has it"},
    "burst2vec/exporting.py": {
        "export": "into a hidden folder, renamed once the check has passed",
        "_write_torchscript": "into that folder; torch takes no hidden name",
        "measure_int8": "into that folder",
    },
    "burst2vec/locks.py": {"_acquire": "a lock's file has no content to lose"},
    "burst2vec/modeling_burst2vec.py": {"save_pretrained": "as transformers saves a model, where the caller says"},
    "burst2vec/pipeline_burst2vec.py": {"save_pretrained": "as transformers saves a pipeline, where the caller says"},
    "burst2vec/experiment/shipping.py": {
        "ship": "a hidden folder takes the place of the old one when all is in it",
        "write_files": "into that folder",
    },
    "burst2vec/training/checkpoints.py": {
        "seal_checkpoint": "its hidden folder is renamed when all is in it",
        "delete_folder": "renames a folder out of sight before it is deleted",
    },
    "burst2vec/generation/learner.py": {"write_checkpoint": "into the hidden folder of a checkpoint not sealed yet"},
    "burst2vec/training/weight_average.py": {"save": "into the hidden folder of a checkpoint not sealed yet"},
    "burst2vec/training/resumable.py": {"write_checkpoint": "into the hidden folder of a checkpoint not sealed yet"},
}
# Names of functions and methods that write to a path, or to a file, given first or as themselves.
WRITES = {"write_text", "write_bytes", "touch", "savefig", "to_csv", "to_parquet", "to_json", "to_html", "to_excel"}
WRITES |= {"save_file", "save_pretrained", "save_to_disk", "save_to_json", "write_table", "ParquetWriter", "save"}
WRITES |= {"savez", "savez_compressed", "savetxt", "imsave", "copyfile", "copy", "copy2", "copytree", "move"}
WRITES |= {"mkstemp", "NamedTemporaryFile", "symlink_to", "hardlink_to", "rename", "renames"}
DRAFTS = {"draft_of", "drafts_of", "BytesIO", "StringIO"}  # what may be written to: a draft, or memory
MODES = set("wax+")


def test_no_function_writes_a_file_in_place():
    broken = [
        f"{path.relative_to(ROOT)}:{line} in {function}: {call}"
        for folder in WHERE
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.relative_to(ROOT).as_posix() != WRITER
        for function, line, call in writes_in_place(path.read_text(encoding="utf-8"))
        if function not in IN_PLACE.get(path.relative_to(ROOT).as_posix(), {})
    ]
    assert not broken, f"write through burst2vec/files.py: {broken}"


def test_every_exception_is_still_needed():
    for file, functions in IN_PLACE.items():
        needed = {function for function, _, _ in writes_in_place((ROOT / file).read_text(encoding="utf-8"))}
        assert set(functions) <= needed, file


@pytest.mark.parametrize(
    "line",
    [
        "open(path, 'w').write(text)",
        "open(path, mode='r+')",
        "path.open('xb')",
        "io.open(path, mode)",
        "wave.open(str(path), 'wb')",
        "os.open(path, os.O_WRONLY)",
        "os.fdopen(3, 'a')",
        "path.write_text(text)",
        "figure.savefig(path)",
        "table.to_csv(path, index=False)",
        "np.save(path, values)",
        "torch.save(state, path)",
        "card.save(path)",
        "soundfile.write(path, samples, 16_000)",
        "model.save_pretrained(folder)",
        "parquet.write_table(table, path)",
        "os.replace(draft, path)",
        "draft.replace(path)",
        "draft.rename(path)",
        "shutil.copyfile(source, path)",
    ],
)
def test_the_law_sees(line):
    assert [function for function, _, _ in writes_in_place(f"def guilty():\n    {line}\n")] == ["guilty"]


@pytest.mark.parametrize(
    "line",
    [
        "open(path)",
        "path.open('rb')",
        "av.open(file, format=container)",
        "os.open(path, os.O_RDONLY)",
        "text.replace('|', '!')",
        "table.to_csv(index=False)",
        "dataclasses.replace(run, seed=1)",
        "values.copy()",
        "copy.copy(step)",
        "with draft_of(path) as draft: parquet.write_table(table, draft)",
        "with draft_of(path) as draft, parquet.ParquetWriter(draft) as writer: writer.write_table(rows)",
        "with drafts_of(folder, last='config.json') as drafts: model.save_pretrained(drafts)",
        "file = io.BytesIO(); figure.savefig(file, format='png')",
        "file = io.BytesIO()\n    with wave.open(file, 'wb') as sound: sound.setnchannels(1)",
        "writer = csv.writer(table); writer.writerow(row)",
    ],
)
def test_the_law_leaves_alone(line):
    assert not list(writes_in_place(f"def innocent():\n    {line}\n"))


def writes_in_place(source):
    """(function, line, call) of every call that may change a file under its own name, or rename one."""
    tree = ast.parse(source)
    inside = {}  # node → the innermost function that it is in
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inside.update({node: function for node in ast.walk(function)})
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and _writes(call):
            function = inside.get(call)
            if not _names_used(call) & _drafts(function or tree):
                yield getattr(function, "name", "the file itself"), call.lineno, ast.unparse(call)


def _writes(call):
    is_method = isinstance(call.func, ast.Attribute)
    name = call.func.attr if is_method else getattr(call.func, "id", "")
    module = getattr(call.func.value, "id", "") if is_method else ""
    if name == "open" and module == "os":
        return not {"O_RDONLY"} == {node.attr for node in ast.walk(call) if isinstance(node, ast.Attribute)} - {"open"}
    if name in ("open", "fdopen"):
        return _opens_for_writing(call)
    if name == "replace":
        return module == "os" or (module != "dataclasses" and len(call.args) == 1 and not call.keywords)
    if name == "write":
        return module in ("soundfile", "sf", "wavfile")
    if name == "save" and not is_method:
        return False  # of safetensors.numpy, which returns bytes
    if name in ("copy", "save", "to_csv", "to_json", "to_html") and not call.args:
        return False  # of an array, or into a text that is returned
    return name in WRITES and module != "copy"


def _opens_for_writing(call):
    """``path.open(mode)``, or ``open(path, mode)`` of any module; a mode that is no text here may be any."""
    first = call.args[0] if call.args else None
    is_mode = isinstance(first, ast.Constant) and set(str(first.value)) <= MODES | set("rbtU")
    modes = [first] if is_mode else call.args[1:2]
    modes = modes + [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    return any(not isinstance(mode, ast.Constant) or MODES & set(str(mode.value)) for mode in modes)


def _drafts(function):
    """The names in a function that stand for drafts or memory, or for a writer over one."""
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.withitem) and node.optional_vars is not None:
            opened = node.context_expr
            if _makes_a_draft(opened) or (isinstance(opened, ast.Call) and _names_used(opened) & found):
                found.add(node.optional_vars.id)
        elif isinstance(node, ast.Assign) and _makes_a_draft(node.value):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def _makes_a_draft(node):
    name = getattr(node, "func", None)
    return (name.attr if isinstance(name, ast.Attribute) else getattr(name, "id", "")) in DRAFTS


def _names_used(call):
    owner = [call.func.value] if isinstance(call.func, ast.Attribute) else []
    return {node.id for part in (*owner, *call.args) for node in ast.walk(part) if isinstance(node, ast.Name)}
