"""The project speaks the field's English: phrases of a private dialect are banned, and the list is kept short."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READ = (".py", ".md", ".yaml", ".cff", ".toml")

GAP = r'[\s#"]+(?:f")?'  # between words, also where a comment or a string continues on the next line

BANNED = {  # phrase → what the field says
    r"(over)?hear(s|d|ing)?|unheard|listen(s|ed|ing)?(?!\(\))": "a model takes, receives or is given a clip",
    r"(go|goes|going|gone|went) on (with|from|where|in silence)": "resume, continue, start from, silently",
    r"(row|line|number|vector|clip|file|one)s? a (clip|row|seed|run|task|label|system|batch|recipe|stage)": "per clip",
    r"trivial (guess|baseline|answer)(es|s)?": "constant baseline",
    r"has not (a|an|the|any)|(which|that|what) \w+ \w+ has not": "does not have",
    r"knobs?": "argument, hyper-parameter",
    r"made.up (clips?|voices?|corpus|corpora|bursts?)": "synthetic",
    r"in one go": "at once",
    r"drawn by chance|by chance,? all alike": "at random, uniformly",
    r"nobody knows": "unknown",
    r"(is|are) not known to us": "its section, or: the paper does not say; our choice because",
}


def dialect(text):
    """(line, phrase, what to say) of every banned phrase, also one broken over two lines."""
    for pattern, better in BANNED.items():
        phrase = pattern.replace(" ", GAP)
        for found in re.finditer(rf"\b({phrase})\b", text, flags=re.IGNORECASE):
            yield text.count("\n", 0, found.start()) + 1, found[0], better


def tracked_files():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.splitlines() if name.endswith(READ) and (ROOT / name).is_file()]


def test_no_banned_phrase_is_written():
    found = [
        f"{path.relative_to(ROOT)}:{line}: {phrase!r}; say: {better}"
        for path in tracked_files()
        if path != Path(__file__)
        for line, phrase, better in dialect(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "a model that hears vectors",
        "the baseline without listening",
        "its run is gone on\n    with",
        "raise Error('… go on '\n        f'with it')".replace("'", '"'),
        "one row a clip",
        "the trivial guess of age",
        "a corpus has not the labels",
        "its knobs",
        "36 made-up voices",
        "drawn by chance",
        "# not the width; that is not known to us",
    ],
)
def test_the_law_sees(text):
    assert list(dialect(text))


@pytest.mark.parametrize("text", ["three listeners rated each", "one row per clip", "the sound goes on after it"])
def test_the_law_leaves_alone(text):
    assert not list(dialect(text))
