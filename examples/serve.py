"""Serve a saved model by HTTP: clips are uploaded, and those that wait together are predicted together.

    burst2vec serve                                                 # on this machine alone, port 8000
    burst2vec serve --model runs/quickstart                         # a model of your own
    curl -F file=@laugh.mp3 http://127.0.0.1:8000/predict           # the pipeline's answer, as JSON
    curl -F file=@laugh.mp3 "http://127.0.0.1:8000/predict?coverage=0.9"

http://127.0.0.1:8000/docs describes it, without the internet. Whoever reaches the port may ask: there are no users and
no encryption, so outside a network of your own put a proxy in front. Stop it with Ctrl-C or SIGTERM: what has begun is
answered first. Needs pip install "burst2vec[serve]".

Exit status: 0 stopped; 2 refused.
"""

import argparse
import dataclasses
import signal
import socket
import sys
from importlib.util import find_spec

from burst2vec.command_line.model_options import add_model_options
from burst2vec.errors import Burst2VecError, MissingPackageError, RunError, refused
from burst2vec.serving.limits import Limits
from burst2vec.shipped_models import DEFAULT_MODEL

NEEDED = {"fastapi": "fastapi", "uvicorn": "uvicorn", "python_multipart": "python-multipart"}
NEEDED |= {"fastapi_offline": "fastapi-offline"}
LAST_ANSWERS = 30  # seconds, of requests that have begun when the server is stopped


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_options(options, DEFAULT_MODEL)
    options.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for other machines too (default: 127.0.0.1)")
    options.add_argument("--port", type=int, default=8000, help="0 takes any that is free (default: 8000)")
    limits = options.add_argument_group("limits", "in memory, uploads take at most max_requests times max_megabytes")
    for each in dataclasses.fields(Limits):
        about = f"{each.metadata['help']} (default: {each.default:g})"
        limits.add_argument(f"--{each.name}", type=type(each.default), default=each.default, help=about)
    return options


def bound(host: str, port: int) -> socket.socket:
    """A socket at an address, taken before the model is loaded.

    Raises:
        RunError: an address that is not there, or is in use.
    """
    place = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        place.bind((host, port))
    except (OSError, OverflowError) as error:
        place.close()
        said = getattr(error, "strerror", None) or error
        raise RunError(f"--host {host} --port {port}: {said}; give others, --port 0 takes any free port") from error
    return place


def run(options: argparse.Namespace) -> None:
    limits = Limits(**{each.name: getattr(options, each.name) for each in dataclasses.fields(Limits)})
    if missing := [package for module, package in NEEDED.items() if find_spec(module) is None]:
        raise MissingPackageError(f"serving needs {', '.join(missing)}: pip install 'burst2vec[serve]'")
    with bound(options.host, options.port) as place:
        import uvicorn

        from burst2vec.prediction import load_pipeline
        from burst2vec.serving.app import make_app

        app = make_app(load_pipeline(options.model), limits, options.features)
        place.listen()  # whoever reads the next line may ask
        host, port, *_ = place.getsockname()
        print(f"{options.model}: http://{f'[{host}]' if ':' in host else host}:{port}/predict, and /docs", flush=True)
        settings = uvicorn.Config(app, server_header=False, timeout_graceful_shutdown=LAST_ANSWERS)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # uvicorn raises it again when it has ended
        try:
            uvicorn.Server(settings).run(sockets=[place])
        except KeyboardInterrupt:
            return


def main(arguments: list[str]) -> int:
    try:
        run(parser().parse_args(arguments))
    except (Burst2VecError, OSError) as error:
        return refused(error)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
