"""The options of every command that answers by a saved model."""

import argparse


def add_model_options(options: argparse.ArgumentParser, default: str) -> None:
    """Add ``--model`` and ``--features``.

    Args:
        options: the command's parser.
        default: the model where none is named, one that comes with the package.
    """
    options.add_argument(
        "--model", default=default, help=f"a folder, or a name on the Hub (default: {default}, of this package)"
    )
    options.add_argument(
        "--features", nargs="+", help="of a model that takes vectors: its feature sets, with their places here"
    )
