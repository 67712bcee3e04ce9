"""Score generated bursts against real ones: Fréchet distances beside their floor, variety, copies, and S_GEN.

    python examples/score_generated.py REAL_DIR FAKE_DIR --model M [--held_out DIR] [--ratings TABLE] [--out FOLDER]

Each clip lies in a sub-folder that is called after its emotion, Amusement/001.wav, or a metadata.csv there has the
columns file and emotion. Clips are compared by the vectors that a model makes of them, before its trunk: any saved
model that takes waveforms, a folder or a name on the Hub. Of the challenge's classifier, the few-shot network with 256
units, these are the last valid outputs of its recurrent part. Distances of different models cannot be compared.

Writes scores.md (as printed), scores.json, nearest.csv (the nearest real clip of each generated one) and picture.png.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from burst2vec.errors import Burst2VecError, CorpusError, refused

if TYPE_CHECKING:
    from burst2vec.generation.comparing_clips import Clips
    from burst2vec.generation.emotion_folders import EmotionClips


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    options.add_argument("real_dir", help="real clips: those that the generator learnt from, so that copies are found")
    options.add_argument("fake_dir", help="generated clips")
    options.add_argument("--model", required=True, help="whose vectors are compared: a folder, or a name on the Hub")
    options.add_argument("--held_out", help="real clips that the generator did not learn from: a truer floor")
    options.add_argument("--statistics", help="folder of EMOTION_….pkl or .npz, {mu, sigma} of real clips by the model")
    options.add_argument("--ratings", help="table of people's mean ratings: a file, and for each emotion 0 to 1")
    options.add_argument("--k", type=int, default=5, help="which neighbour bounds a neighbourhood (default: 5)")
    options.add_argument("--seed", type=int, default=0, help="of what is drawn (default: 0)")
    options.add_argument("--out", default="reports/generated", help="folder of the report (default: reports/generated)")
    options.add_argument("--cache_dir", help="of the datasets library")
    options.add_argument("--num_proc", type=int, help="processes to decode with (default: as many as there are cores)")
    return options


def vectors_of(clips: "EmotionClips", feature_set: str, cache_dir: str | None, num_proc: int) -> "Clips":
    import numpy as np

    from burst2vec.features import extract_features
    from burst2vec.generation.comparing_clips import Clips

    made = extract_features(
        clips.clips, feature_set, num_proc, desc=f"Computing vectors of {clips.folder.name}", cache_dir=cache_dir
    )
    vectors = np.stack(made.with_format("numpy")["features"][:])
    return Clips(vectors.astype(np.float64), clips.emotions, list(made["file_id"]))


def read_folders(options: argparse.Namespace, num_proc: int) -> "dict[str, EmotionClips]":
    """Generated, real and held-out clips; every emotion that was generated has enough of each."""
    from burst2vec.generation.comparing_clips import FEWEST
    from burst2vec.generation.emotion_folders import read_emotion_clips

    folders = {"generated": options.fake_dir, "real": options.real_dir, "held_out": options.held_out}
    read = {
        name: read_emotion_clips(folder, options.cache_dir, num_proc)
        for name, folder in folders.items()
        if folder is not None
    }
    fewest = max(FEWEST, 2 * options.k + 2)
    read["generated"].refuse_too_few(fewest, "to be scored")
    emotions = read["generated"].names
    for name in read.keys() - {"generated"}:
        if unknown := [emotion for emotion in emotions if emotion not in read[name].names]:
            raise CorpusError(
                f"{read[name].folder}: has no clips of {', '.join(unknown)}, which {read['generated'].folder} has; it "
                f"has {', '.join(read[name].names)}"
            )
        read[name].refuse_too_few(fewest, "to compare with", emotions)
    return read


def main(arguments: list[str] | None = None) -> int:
    """Returns 0; 2 where the command cannot be done. Clips that cannot be read are named and left out."""
    options = parser().parse_args(arguments)
    if options.k < 1:
        parser().error(f"--k {options.k}: give 1 or more")
    from burst2vec.data.processes import usable_cores
    from burst2vec.features import find_feature_set, public_name
    from burst2vec.generation.comparing_clips import compare_clips, read_statistics_folder
    from burst2vec.generation.comparison_report import format_comparison, write_comparison
    from burst2vec.generation.emotion_folders import read_ratings

    num_proc = options.num_proc or usable_cores()
    feature_set = f"embedding:{options.model}"
    try:
        size = find_feature_set(feature_set).size  # a model that is not there is refused before clips are read
        read = read_folders(options, num_proc)
        ratings = None if options.ratings is None else read_ratings(options.ratings, read["generated"])
        statistics = None
        if options.statistics is not None:
            converted = Path(options.out) / "statistics"
            statistics = read_statistics_folder(options.statistics, read["generated"].names, converted)
        clips = {name: vectors_of(each, feature_set, options.cache_dir, num_proc) for name, each in read.items()}
        scored = compare_clips(
            clips["generated"], clips["real"], clips.get("held_out"), statistics, ratings, options.k, options.seed
        )
        text = format_comparison(scored, size, public_name(feature_set))
        print(text)
        write_comparison(scored, text, clips["generated"], clips["real"], options.out)
    except (Burst2VecError, OSError) as error:
        return refused(error)
    for each in read.values():
        for clip in each.bad:
            print(f"left out: {clip.reason}".encode(errors="replace").decode())
    print(f"\neverything is in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
