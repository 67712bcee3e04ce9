"""Compute feature vectors of a corpus once and keep them as Parquet: openSMILE's sets, frozen models' embeddings, …

    python examples/extract_features.py hume_vb --data_dir HUME-VB --features compare egemaps --out features/hume_vb
    python examples/extract_features.py emogator --data_dir EmoGator --out features/emogator \\
        --features embedding:facebook/hubert-large-ll60k embedding:runs/quickstart
    python examples/extract_features.py --recipe RECIPE.yaml [--data_dir DIR] --out FOLDER  # cleaned as the recipe says

Stopped or killed, the same command resumes. openSMILE's sets need pip install 'burst2vec[features]'.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from burst2vec.command_line.declared import choices_of_corpora, corpora, feature_sets
from burst2vec.errors import Burst2VecError, refused

if TYPE_CHECKING:
    from datasets import Dataset

    from burst2vec.data.clips import BadClip
    from burst2vec.features import WrittenFeatures


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("corpus", nargs="?", choices=sorted(corpora()), help="the corpus; left out with --recipe")
    options.add_argument("--recipe", help="a recipe, whose section data says what to read and how to clean it")
    options.add_argument("--data_dir", help="the corpus's folder")
    options.add_argument("--more_dirs", nargs="+", metavar="FOLDER", help="further folders of it, for emogator")
    for key, (words, about) in choices_of_corpora().items():
        options.add_argument(f"--{key}", choices=words, help=about)
    options.add_argument("--cache_dir", help="of the datasets library")
    sets, families = feature_sets()
    options.add_argument(
        "--features",
        nargs="+",
        default=sets,
        help=f"which of {', '.join([*sets, *families])} (default: {' '.join(sets)})",
    )
    options.add_argument("--out", required=True, help="folder for the tables: new, or written before")
    options.add_argument("--num_proc", type=int, help="processes (default: as many as there are cores)")
    return options


def read_clips(options: argparse.Namespace) -> "tuple[Mapping[str, Dataset], list[BadClip]]":
    """The clips of each split that can be read, and those that cannot."""
    from burst2vec.audio import read_transforms
    from burst2vec.data.clips import check_clips
    from burst2vec.data.corpora import load_bursts
    from burst2vec.experiment.corpus_keys import settings_of
    from burst2vec.experiment.inputs import prepare_clips, read_corpora, tasks_of
    from burst2vec.experiment.recipe_by_size import choose_by_size
    from burst2vec.experiment.recipes import parse_run
    from burst2vec.experiment.sections import CorpusArguments

    places = {"data_dir": options.data_dir, "cache_dir": options.cache_dir}
    more = {} if options.more_dirs is None else {"more_dirs": options.more_dirs}
    chosen = {key: getattr(options, key) for key in choices_of_corpora()}
    if options.recipe is not None:
        settings = {**places, **chosen, "preprocessing_num_workers": options.num_proc}
        words = [word for key, value in settings.items() if value is not None for word in (f"--{key}", str(value))]
        words += [word for key, folders in more.items() for word in (f"--{key}", json.dumps(folders))]
        run = choose_by_size(parse_run([options.recipe, *words]))
        prepared = prepare_clips(
            read_corpora(run.data, tasks_of(run)), run.data, read_transforms(run.data.preprocess or ())
        )
        clips = {split: made.dataset for split, made in prepared.items()}
        return clips, [bad for made in prepared.values() for bad in made.skipped]
    # Shared speakers are of no matter here: nothing is trained.
    settings = settings_of(CorpusArguments(options.corpus, **chosen, **more), allow_shared_speakers=True)
    corpus = load_bursts(options.corpus, **places, **settings)
    checked = {split: check_clips(clips, "skip", options.num_proc) for split, clips in corpus.items()}
    readable = {split: clips for split, (clips, _) in checked.items()}
    return readable, [clip for _, bad in checked.values() for clip in bad]


def describe(feature_set: str, done: "WrittenFeatures") -> str:
    speed = f", {done.made / done.seconds:.1f} clips a second" if done.made else ""
    mended = "".join(f"\n  {clips:,} clips: {note}" for note, clips in sorted(done.notes.items()))
    return f"{feature_set}: {done.made:,} made, {done.kept:,} kept from before{speed}; {done.folder}{mended}"


def main(arguments: list[str]) -> int:
    """Returns 0; 2 where the command cannot be done. Clips that cannot be read are named and left out."""
    options = parser().parse_args(arguments)
    from burst2vec.data.processes import usable_cores
    from burst2vec.features import folder_name, write_features

    if (options.corpus is None) == (options.recipe is None):
        parser().error("name a corpus, or give --recipe with a file; one of the two")
    if options.num_proc is None:
        options.num_proc = usable_cores()
    if options.num_proc < 1:
        parser().error(f"--num_proc {options.num_proc}: give 1 or more")
    try:
        for feature_set in options.features:
            folder_name(feature_set)  # an unknown set is refused before the corpus is read
        clips, bad = read_clips(options)
        for feature_set in dict.fromkeys(options.features):
            print(describe(feature_set, write_features(clips, feature_set, options.out, options.num_proc)))
    except (Burst2VecError, OSError) as error:
        return refused(error)
    print(f"{len(bad):,} clips cannot be read and are left out")
    for clip in bad[:5]:
        print(f"failed: {clip.reason}".encode(errors="replace").decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
