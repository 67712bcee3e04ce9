"""The Fréchet distance of 256 features beside the formula's matrix root by ``scipy.linalg.sqrtm``.

    python benchmarks/frechet_distance.py [--features 256] [--rounds 20]

Random covariances of full rank. Printed are the difference of the two values and the ratio of their times, by turns.
"""

import argparse

import numpy as np
import scipy.linalg
from rounds import describe, ratio, time_by_turns

from burst2vec.scoring.generated import Gaussian, frechet_distance, gaussian_of


def by_matrix_root(mean_1, covariance_1, mean_2, covariance_2) -> float:
    root = scipy.linalg.sqrtm(covariance_1 @ covariance_2).real
    return float(np.square(mean_1 - mean_2).sum() + np.trace(covariance_1 + covariance_2 - 2 * root))


def random_statistics(features: int, random: np.random.Generator) -> Gaussian:
    mixing = random.normal(size=(features, features)) / np.sqrt(features)
    return gaussian_of(random.normal(size=(8 * features, features)) @ mixing + random.normal(size=features))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    both = *random_statistics(options.features, random), *random_statistics(options.features, random)
    print(f"difference of the values: {abs(frechet_distance(*both) - by_matrix_root(*both)):.1e}")
    contestants = {"ours": lambda: frechet_distance(*both), "sqrtm": lambda: by_matrix_root(*both)}
    seconds = time_by_turns(contestants, options.rounds)
    print(describe("sqrtm's time over ours", ratio(seconds, "sqrtm", "ours"), "3 or more"))


if __name__ == "__main__":
    main()
