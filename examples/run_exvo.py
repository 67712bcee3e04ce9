"""Train, evaluate and predict with Burst2Vec, from a recipe.

    accelerate launch examples/run_exvo.py RECIPE.yaml [--key value …]

Any key of the recipe's sections can be changed on the command line; without arguments, the recipes are listed.
"""

import sys
from pathlib import Path

from burst2vec.experiment.execute import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], recipes=Path(__file__).parent / "recipes"))
