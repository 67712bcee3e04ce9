"""Calibrate a finished run by its validation clips: temperatures of its classifications, and conformal intervals.

    burst2vec calibrate RUN --data_dir CORPUS

RUN is a folder that burst2vec train finished; a run with validation clips has done this already, so it is for runs from
before there was such a thing, or without do_eval. Validation clips are predicted again, and test clips where the run
predicted them, to measure the result. Only clips of speakers whom the model was not trained on count; where there are
none it is refused. What is learnt is saved in RUN/config.json, and all that loads the model uses it; a model that was
exported is exported again. Any key of the run's recipe can be given behind RUN, such as --cache_dir or --features_dir.

Exit status: 0; 2 refused.
"""

import argparse
import sys

from burst2vec.errors import Burst2VecError, refused


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    options.add_argument("run", help="folder of a finished run, with its model")
    return options


def main(arguments: list[str]) -> int:
    options, keys = parser().parse_known_args(arguments)
    from burst2vec.experiment.calibrating import calibrate_run

    try:
        done = calibrate_run(options.run, keys)
    except (Burst2VecError, OSError) as error:
        return refused(error)
    print(f"calibrated by {done.clips:,} validation clips of {done.speakers:,} speakers who were not trained on")
    if done.left_out:
        print(f"left out: {done.left_out:,} validation clips of speakers who were, or who are not known")
    print("\n".join(done.lines))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
