"""One vector a clip, computed once: openSMILE's feature sets, tables of them, and the tables that ExVo handed out."""

from .challenge import read_challenge_features
from .extraction import FEATURE_SETS, FeatureSet, extract_features
from .tables import FeatureTables, WrittenFeatures, read_features, write_features

__all__ = [
    "FEATURE_SETS",
    "FeatureSet",
    "FeatureTables",
    "WrittenFeatures",
    "extract_features",
    "read_challenge_features",
    "read_features",
    "write_features",
]
