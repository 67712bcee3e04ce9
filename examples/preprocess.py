"""Clean a folder of recordings: each one through the same steps, into WAV files of 32-bit floats under another folder.

    python examples/preprocess.py HUME-VB/raw HUME-VB-clean/wav --num_proc 8
    python examples/preprocess.py IN_DIR OUT_DIR --steps mono resample highpass normalise_level:dbfs=-20

Stopped or killed, the same command resumes.
"""

import argparse
import inspect
import re
import sys
from concurrent.futures.process import BrokenProcessPool

from burst2vec.audio.transforms import TRANSFORMS, transform_options
from burst2vec.errors import Burst2VecError, refused

# Burst2Vec, section 4.1, has 16 kHz at -3 dBFS RMS. The rest and the order are our choice: what is slower than a voice
# goes before the noise is estimated, silence is cut when noise no longer fills it, and the level is that of what is
# left.
DEFAULT_STEPS = ("mono", "resample", "highpass", "mmse_stsa", "trim_silence", "normalise_level")

WORKED_EXAMPLE = """
HUME-VB's raw recordings (48 kHz webm), beside its own wav/:

  python examples/preprocess.py HUME-VB/raw HUME-VB-clean/wav --num_proc 8
  cp HUME-VB/data_info.csv HUME-VB-clean/

and then data_dir=HUME-VB-clean. What could not be read or cleaned stands in HUME-VB-clean/wav/failures.csv.
"""


def list_of_transforms() -> str:
    """Each step with its options and their defaults, and what its docstring says first, without the source."""
    lines = ["steps, in any order, each as often as wanted:"]
    for name, step in TRANSFORMS.items():
        sentence = " ".join(inspect.getdoc(step).split("\n\n")[0].split())
        options = ",".join(f"{option}={default}" for option, default in transform_options(name).items())
        lines.append(f"  {name}{':' if options else ''}{options}")
        lines.append("      " + re.split(r"[.:] | \(", sentence)[0].replace("``", "").rstrip(".") + ".")
    return "\n".join(lines)


def main(arguments=None) -> int:
    """Returns 0; 1 where more than half of the recordings failed; 2 where the command cannot be done."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=list_of_transforms() + "\n" + WORKED_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("in_dir", help="wav, flac, ogg, mp3, webm, m4a, at any depth")
    parser.add_argument("out_dir", help="new, or written before with the same steps")
    parser.add_argument(
        "--steps", nargs="*", default=DEFAULT_STEPS, help=f"in order; by default {' '.join(DEFAULT_STEPS)}"
    )
    parser.add_argument("--num_proc", type=int, help="processes; by default as many as there are cores")
    options = parser.parse_args(arguments)
    if options.num_proc is not None and options.num_proc < 1:
        parser.error(f"--num_proc {options.num_proc}: give 1 or more")
    from burst2vec.data.preprocessing import FAILURES, preprocess_folder

    try:
        done = preprocess_folder(options.in_dir, options.out_dir, options.steps, options.num_proc)
    except (Burst2VecError, OSError, BrokenProcessPool) as error:
        return refused(error)
    print(f"{done.made} made, {done.kept} kept from before, {len(done.failures)} failed")
    print(f"left alone: {done.left_alone} files that are not audio, {done.links} links that lead elsewhere")
    if done.orphans:
        print(f"in {options.out_dir}, of recordings that are not in {options.in_dir} any more: {done.orphans}")
    speed = done.sound_seconds / done.seconds
    print(f"{done.sound_seconds:.0f} s of sound in {done.seconds:.1f} s, {speed:.0f} times real time")
    for file, reason in done.failures[:5]:
        print(f"failed: {reason if reason.startswith(file) else f'{file}: {reason}'}".encode(errors="replace").decode())
    if done.failures:
        print(f"all failures: {options.out_dir}/{FAILURES}")
    if done.mostly_failed:
        print("error: more than half of the recordings failed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
