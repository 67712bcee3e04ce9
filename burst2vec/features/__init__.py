"""One vector per clip, computed once: openSMILE's feature sets, frozen models' embeddings, and tables of them.

Beside them, the tables that ExVo handed out.
"""

from .challenge_tables import read_challenge_features
from .extraction import (
    FEATURE_FAMILIES,
    FEATURE_SETS,
    extract_features,
    find_feature_set,
    fit_feature_set,
    fitted_file,
    folder_name,
    refuse_unplaced,
    vectors_in_batches,
)
from .feature_set import FeatureFamily, FeatureSet, public_name, without_folder
from .vector_tables import FeatureTables, WrittenFeatures, look_up, read_features, write_features

__all__ = [
    "look_up",
    "public_name",
    "FEATURE_FAMILIES",
    "FEATURE_SETS",
    "FeatureFamily",
    "FeatureSet",
    "FeatureTables",
    "WrittenFeatures",
    "extract_features",
    "find_feature_set",
    "fit_feature_set",
    "fitted_file",
    "folder_name",
    "read_challenge_features",
    "read_features",
    "refuse_unplaced",
    "vectors_in_batches",
    "without_folder",
    "write_features",
]
