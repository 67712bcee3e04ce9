"""Show a saved model in the browser: record or drop a file, see what the model says of it.

    burst2vec demo --model runs/quickstart                   # then open http://127.0.0.1:7860
    burst2vec demo --model you/model --host 0.0.0.0 --port 8000

Bars with the conformal intervals of a model that is calibrated, waveform and spectrogram, and of a long recording
the bursts that are found in it. Needs pip install "burst2vec[demo]". Nothing leaves this machine unless --share yes,
which asks gradio for a public address; uploads are deleted after ten minutes. Browsers allow a microphone on this
machine's own address and by https. Ctrl+C ends it.

Exit status: 0 ended by Ctrl+C or a signal; 2 refused.
"""

import argparse
import signal
import sys

from burst2vec.command_line.model_options import add_model_options
from burst2vec.errors import Burst2VecError, refused
from burst2vec.shipped_models import DEFAULT_MODEL


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_options(options, DEFAULT_MODEL)
    options.add_argument("--host", default="127.0.0.1", help="address to serve at (default: this machine's own)")
    options.add_argument("--port", type=int, default=7860, help="(default: 7860)")
    options.add_argument("--share", choices=("no", "yes"), default="no", help="a public address too (default: no)")
    return options


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    from burst2vec.demo import open_demo
    from burst2vec.prediction import load_pipeline

    try:
        page = open_demo(
            load_pipeline(options.model),
            host=options.host,
            port=options.port,
            share=options.share == "yes",
            features=options.features,
        )
    except (Burst2VecError, OSError) as error:
        return refused(error)
    print(f"{options.model} at {page.share_url or page.local_url}; Ctrl+C ends it", flush=True)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that uploads are deleted then too
    try:
        page.block_thread()
    finally:
        page.close(verbose=False)
        signal.signal(signal.SIGTERM, before)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
