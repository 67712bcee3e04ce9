"""Train, evaluate and predict with Burst2Vec, from a recipe.

    accelerate launch examples/run_exvo.py RECIPE [--key value …]

RECIPE is a .yaml file, or the name of one that comes with burst2vec. Any key of the recipe's sections can be changed on
the command line; without arguments, the recipes are listed.
"""

import sys

from burst2vec.command_line.train_help import train_help


def main(arguments: list[str]) -> int:
    if {"-h", "--help"} & set(arguments):
        print(train_help())
        return 0
    from burst2vec.experiment.execute import main as train

    return train(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
