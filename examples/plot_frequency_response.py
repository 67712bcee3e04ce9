"""What the first convolution of networks over waveforms passes: one line per model, in one picture.

    python examples/plot_frequency_response.py MODEL … [--out PICTURE.png]

The models are folders of finished runs whose encoder is waveform_cnn, such as those of
examples/recipes/frozen_embeddings/raw_emotion_class.yaml. A line is the cumulative frequency response of Palaz,
Magimai-Doss and Collobert (2019): the sum of the filters' spectra, each divided by its norm, here over their number.
"""

import argparse
import sys

from burst2vec.errors import Burst2VecError, refused


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("models", nargs="+", help="folders of saved models")
    parser.add_argument("--out", default="frequency_response.png", help="the picture; default frequency_response.png")
    args = parser.parse_args(arguments)
    from burst2vec.comparison.filter_response import plot_frequency_responses

    try:
        print(plot_frequency_responses(args.models, args.out))
    except (Burst2VecError, OSError) as error:
        return refused(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
