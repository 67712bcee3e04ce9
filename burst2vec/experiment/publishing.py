"""Publishing on the Hub: only listed files, searched for secrets and local paths first; private by default."""

import re
from pathlib import Path

from huggingface_hub import HfApi

from ..data.corpora import corpus_named
from ..errors import RunError
from ..files import write_whole
from .building import load_model
from .model_card import model_card, pictures_of
from .run_record import RECORD, RunRecord

PUBLISHED = ("README.md", "config.json", "preprocessor_config.json", "model*.safetensors", "*.safetensors.index.json")
PUBLISHED += (RECORD, "recipe.yaml", "plots/*.png", "*.py", "features/*/*.safetensors")

SECRETS = (
    ("an access token", re.compile(rb"\b(?:hf_|api_org_|ghp_|github_pat_|sk-)[A-Za-z0-9_]{20,}")),
    (
        "a local path",
        re.compile(rb"(?<![\w.:/~-])/(?:home|root|Users|tmp|mnt|media|data|scratch|work|var|opt)/[\w.-]+"),
    ),
    ("a local path", re.compile(rb"\b[A-Za-z]:\\\\?[\w.-]+")),
)


def published_files(folder: str | Path) -> list[Path]:
    """The files of a run's folder that may leave the machine: weights, configs, card, scores, recipe and plots.

    Checkpoints, predictions (their file names are the corpus's) and ``training_args.bin`` (a pickle that may hold the
    token) stay.
    """
    return sorted({path for pattern in PUBLISHED for path in Path(folder).glob(pattern) if path.is_file()})


def find_secrets(path: Path) -> list[str]:
    """What should not be published of a file: access tokens and local paths, each as found.

    Of weights and pictures only the header is read: a number that happens to spell a path is no secret.
    """
    with path.open("rb") as file:
        if path.suffix == ".safetensors":
            content = file.read(int.from_bytes(file.read(8), "little"))
        else:
            content = file.read()
    if path.suffix == ".png":
        content = content.split(b"IDAT")[0]
    places = [("a local path", re.compile(re.escape(str(place).encode()))) for place in (Path.home(), Path.cwd())]
    return [
        f"{kind}: {match.group().decode(errors='replace')[:12]}…"
        for kind, pattern in (*SECRETS, *places)
        for match in pattern.finditer(content)
        if len(match.group()) > 1
    ]


def publish(folder: str | Path, repo_id: str, private: bool = True, api: HfApi | None = None) -> str:
    """Publish a run's folder as a model repository.

    Args:
        folder: what ``run_exvo.py`` wrote.
        repo_id: such as ``"someone/burst2vec-hubert"``.
        private: False makes it public; refused for a corpus under a licence agreement.
        api: a client of the Hub; by default that of the logged-in user.

    Returns:
        The commit's address.

    Raises:
        RunError: no whole ``metrics.json``; a model that lacks weights, or has some that are not finite; a public
            repository for a licensed corpus; a token or a local path in a file.
    """
    folder = Path(folder)
    record = RunRecord.read(folder)
    licensed = [corpus for corpus in record.corpora if not corpus_named(corpus).public]
    if not private and licensed:
        raise RunError(
            f"{folder}: trained on {licensed[0]}, whose licence agreement allows no public copy; leave it private"
        )
    tasks = load_model(folder).config.task_records
    card = model_card(repo_id, record, tasks, pictures_of(folder))  # its code names the repository
    write_whole(folder / "README.md", str(card))
    files = published_files(folder)
    for path in files:
        if secrets := find_secrets(path):
            raise RunError(f"{path} holds {'; '.join(sorted(set(secrets)))}; remove it, then publish again")
    api = api or HfApi()
    api.create_repo(repo_id, private=private, exist_ok=True)
    if private and not api.repo_info(repo_id).private:
        raise RunError(
            f"{repo_id} exists already and is public; choose another repository, or publish with private=False"
        )
    return api.upload_folder(
        repo_id=repo_id,
        folder_path=folder,
        allow_patterns=[path.relative_to(folder).as_posix() for path in files],
        commit_message="Burst2Vec model",
    ).commit_url
