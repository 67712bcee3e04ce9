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

from burst2vec.errors import Burst2VecError, refused


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


def main(arguments: list[str] | None = None) -> int:
    """Returns 0; 2 where the command cannot be done. Clips that cannot be read are named and left out."""
    options = parser().parse_args(arguments)
    if options.k < 1:
        parser().error(f"--k {options.k}: give 1 or more")
    from burst2vec.data.processes import usable_cores
    from burst2vec.generation.emotion_folders import read_emotion_clips
    from burst2vec.generation.scoring_bursts import Scoring, score_bursts

    how = Scoring(
        options.model,
        options.out,
        options.statistics,
        options.ratings,
        options.k,
        options.seed,
        options.cache_dir,
        options.num_proc or usable_cores(),
    )
    folders = (options.fake_dir, options.real_dir, options.held_out)
    try:
        how.refuse_without_model()  # before clips are read
        read = [each and read_emotion_clips(each, options.cache_dir, how.num_proc) for each in folders]
        print(score_bursts(*read, how))
    except (Burst2VecError, OSError) as error:
        return refused(error)
    for each in filter(None, read):
        for clip in each.bad:
            print(f"left out: {clip.reason}".encode(errors="replace").decode())
    print(f"\neverything is in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
