"""Export a saved model to ONNX or TorchScript, checked against torch on clips.

    burst2vec export runs/quickstart --out exported                         # ONNX, checked on synthetic clips
    burst2vec export you/model --out exported --clips MY_CLIPS              # checked on these
    burst2vec export runs/quickstart --out exported --torchscript

The graph takes any number of clips of any length. A folder of ONNX also has the code that runs it without torch:
PYTHONPATH=exported, then ``from burst2vec_onnx import OnnxModel; OnnxModel("exported")("laugh.mp3")``.

Exit status: 0; 2 refused, also where the graph differs from torch: nothing is written then.
"""

import argparse
import sys

from burst2vec.errors import Burst2VecError, refused


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("model", help="a folder, or a name on the Hub")
    options.add_argument("--out", required=True, metavar="FOLDER", help="a new folder")
    format = options.add_mutually_exclusive_group()
    format.add_argument("--onnx", dest="format", action="store_const", const="onnx", default="onnx", help="the default")
    format.add_argument("--torchscript", dest="format", action="store_const", const="torchscript")
    options.add_argument(
        "--clips", nargs="+", metavar="FOLDER|FILE", help="to check with, two or more (default: synthetic clips)"
    )
    options.add_argument("--max_clips", type=int, default=100, help="of those, spread evenly (default: 100)")
    return options


def main(arguments: list[str]) -> int:
    given = parser()
    options = given.parse_args(arguments)
    if options.max_clips < 2:
        given.error(f"--max_clips is {options.max_clips}; it must be 2 or more")
    from burst2vec.exporting import TOLERANCE, export
    from burst2vec.prediction import load_pipeline
    from burst2vec.prediction.clip_sources import sources_of

    try:
        clips = None
        if options.clips:
            every = [source.clip for source in sources_of(options.clips)]
            clips = every[:: -(-len(every) // options.max_clips)]
        found = export(load_pipeline(options.model), options.out, options.format, clips)
    except (Burst2VecError, OSError) as error:
        return refused(error)
    print(
        f"{options.out}: greatest difference from torch {found.greatest:.1e} of a task's span on {found.clips} "
        f"{'given' if clips else 'synthetic'} clips (allowed {TOLERANCE:g})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
