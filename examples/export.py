"""Export a saved model to ONNX or TorchScript, checked against torch on clips.

    burst2vec export runs/quickstart --out exported                         # ONNX, checked on synthetic clips
    burst2vec export you/model --out exported --clips MY_CLIPS              # checked on these
    burst2vec export runs/quickstart --out exported --int8 --clips MY_CLIPS # weights in 8 bits, and what that changes
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
        "--int8", action="store_true", help="weights in 8 bits, of ONNX; what that changes is measured and told"
    )
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
        found = export(load_pipeline(options.model), options.out, options.format, clips, options.int8)
    except (Burst2VecError, OSError) as error:
        return refused(error)
    print(
        f"{options.out}: greatest difference from torch {found.greatest:.1e} of a task's span on {found.clips} "
        f"{'given' if clips else 'synthetic'} clips (allowed {TOLERANCE:g})"
    )
    for line in int8_lines(found.int8) if found.int8 else ():
        print(line)
    return 0


def int8_lines(measured: dict) -> list[str]:
    """What weights in 8 bits change, as ``burst2vec.exporting.measure_int8`` says it."""
    sizes = [measured[name] / 1e6 for name in ("bytes", "bytes_float32")]
    lines = ["in 8 bits: {:.1f} MB instead of {:.1f}; of a task's span differ:".format(*sizes)]
    for task, of_task in measured["tasks"].items():
        classes = f"; another class for {of_task['classes']:.1%} of clips" if "classes" in of_task else ""
        lines.append(f"  {task}: mean {of_task['mean']:.1e}, greatest {of_task['greatest']:.1e}{classes}")
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
