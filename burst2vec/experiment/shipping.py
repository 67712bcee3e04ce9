"""A finished run → the folder of a model that comes with the package: weights in half precision, and its card.

    make shipped MODEL=runs/small            # burst2vec/pretrained/small, which is then committed
    python -m burst2vec.experiment.shipping runs/small --name small

Only weights of two dimensions or more are halved: the others, and all statistics, are a hundredth of the size and lose
more. Where it is loaded all of them are float32 again.

Exit status: 0; 2 refused: an unfinished run, a corpus under a licence agreement, a folder over 10 MB, a place on this
machine or a token in a file.
"""

import argparse
import json
import os
import secrets
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from ..data.corpora import corpus_named
from ..errors import Burst2VecError, RunError, refused
from ..files import DRAFT, write_json, write_whole
from ..shipped_models import DEFAULT_MODEL, OWNER, PRETRAINED
from .building import load_model
from .model_card import model_card, pictures_of
from .publishing import find_secrets
from .run_record import RECORD, RunRecord

MOST_BYTES = 10_000_000  # of the whole folder
WEIGHTS = "model.safetensors"
CONFIGS = ("config.json", "preprocessor_config.json")
OF_CODE = ("auto_map", "custom_pipelines")  # which travels with models on the Hub; here the package is that code


def ship(run: str | Path, name: str, into: str | Path = PRETRAINED) -> Path:
    """Write the model of a finished run as one that comes with the package; one of that name is replaced.

    Args:
        run: the folder of the run, which stays as it is.
        name: of the model.
        into: the folder of such models.

    Returns:
        The model's folder.

    Raises:
        RunError: no finished run; one on vectors, or on a corpus that is not public; a weight that half precision
            cannot hold; over 10 MB; a token or a local path in a file. Nothing is changed then.
    """
    run, place = Path(run), Path(into, name)
    record = RunRecord.read(run)
    if licensed := [corpus for corpus in record.corpora if not corpus_named(corpus).public]:
        raise RunError(f"{run}: trained on {licensed[0]}, whose licence agreement allows no public copy")
    if record.features:
        raise RunError(f"{run}: takes vectors of {record.features}; a shipped model takes recordings")
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_name(f"{DRAFT}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        write_files(run, record, f"{OWNER}/{name}", draft)
        refuse_unfit(draft)
        shutil.rmtree(place, ignore_errors=True)
        os.replace(draft, place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return place


def write_files(run: Path, record: RunRecord, name: str, folder: Path) -> None:
    """Write everything that the folder of a shipped model holds."""
    model = load_model(run)
    folder.mkdir()
    save_file(halved(model), folder / WEIGHTS, metadata={"format": "pt"})
    (folder / WEIGHTS).chmod(0o644)  # safetensors lets nobody else read it
    for config in CONFIGS:
        said = json.loads((run / config).read_text(encoding="utf-8"))
        write_json(folder / config, {key: value for key, value in said.items() if key not in OF_CODE})
    record.write(folder)
    if pictures := pictures_of(run):
        (folder / "plots").mkdir()
        for picture in pictures:
            write_whole(folder / picture, (run / picture).read_bytes())
    place = f"burst2vec.shipped_model({name.rpartition('/')[2]!r})"
    card = model_card(name, record, model.config.task_records, pictures, place)
    write_whole(folder / "README.md", str(card))


def halved(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A model's weights by name, float16 where they have two dimensions or more.

    Raises:
        RunError: a weight beyond ±65,504, the largest of float16.
    """
    weights = dict(model.named_parameters())
    halves = {}
    for name, values in model.state_dict().items():
        values = values.detach().contiguous()
        if name in weights and values.dim() >= 2:
            values = values.half()
            if not torch.isfinite(values).all():
                raise RunError(f"{name} has values that float16 cannot hold; train it with weight decay")
        halves[name] = values
    return halves


def refuse_unfit(folder: Path) -> None:
    """Refuse a folder that is too large, or that says where it was made.

    Raises:
        RunError: says what is too large, or what is found where.
    """
    sizes = {path: path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}
    if (total := sum(sizes.values())) > MOST_BYTES:
        largest = max(sizes, key=sizes.get)
        raise RunError(
            f"the folder has {total / 1e6:.1f} MB, of which {largest.name} {sizes[largest] / 1e6:.1f}; up to "
            f"{MOST_BYTES / 1e6:.0f} MB come with the package: train a smaller model"
        )
    for path in sizes:
        if found := find_secrets(path):
            raise RunError(f"{path.relative_to(folder)} holds {'; '.join(sorted(set(found)))}; remove it from the run")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of a finished run")
    default = DEFAULT_MODEL.partition("/")[2]
    parser.add_argument("--name", default=default, help=f"of the model: {OWNER}/NAME (default: {default})")
    options = parser.parse_args(arguments)
    try:
        place = ship(options.run, options.name)
    except (Burst2VecError, OSError) as error:
        return refused(error)
    size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    print(f"{OWNER}/{options.name}: {size / 1e6:.1f} MB in {place}; its scores are in {place / RECORD}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
