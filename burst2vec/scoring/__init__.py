"""From predictions to numbers, with numpy only: scores, their constant baselines, reports and submission files."""

from ..answers import interval_or_set
from .conformal import calibrate, coverage_line, measure_coverage
from .constant_baseline import baseline_predictions
from .generated import frechet_distance, heep, s_gen, s_gen_overall
from .score_report import format_report, score_tasks
from .scores import (
    concordance_cc,
    concordance_cc_per_label,
    mean_absolute_error,
    mean_absolute_error_per_label,
    pearson_correlation,
    pearson_correlation_per_label,
    s_mtl,
    unweighted_average_recall,
    weighted_average_recall,
)
from .significance import cochrans_q
from .submission import submission_name, validate_official_file, write_official_file
from .submission_forms import answered_forms
from .temperature import (
    calibration_line,
    expected_calibration_error,
    fit_temperature,
    fit_temperatures,
    measure_calibration,
    with_temperatures,
)

__all__ = [
    "answered_forms",
    "calibrate",
    "calibration_line",
    "cochrans_q",
    "concordance_cc",
    "concordance_cc_per_label",
    "coverage_line",
    "expected_calibration_error",
    "fit_temperature",
    "fit_temperatures",
    "format_report",
    "frechet_distance",
    "heep",
    "interval_or_set",
    "mean_absolute_error",
    "mean_absolute_error_per_label",
    "measure_calibration",
    "measure_coverage",
    "pearson_correlation",
    "pearson_correlation_per_label",
    "s_gen",
    "s_gen_overall",
    "s_mtl",
    "score_tasks",
    "submission_name",
    "baseline_predictions",
    "unweighted_average_recall",
    "validate_official_file",
    "weighted_average_recall",
    "with_temperatures",
    "write_official_file",
]
