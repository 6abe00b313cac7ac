"""Figures: a tidy table and an Axes in, the Axes out; one look for the whole book."""

from emolib.figures.artefacts import (
    contrasts,
    curves_that_pass,
    decompositions,
    misread_scores,
    norms_by_place,
    scenario_accuracy,
    scenario_winners,
)
from emolib.figures.calibration import (
    confounds_and_remedies,
    false_find_rates,
    interval_coverage,
    power_curves,
    recovery_curves,
)
from emolib.figures.extraction import held_out_accuracy, passage_curves, passage_html, vector_norms
from emolib.figures.geometry import (
    cluster_overlap,
    components,
    components_against_ratings,
    correlation_by_layer,
    cosine_map,
    layer_similarity_map,
    quality_by_stories,
)
from emolib.figures.look import subplots, use
from emolib.figures.panel import preference_panel
from emolib.figures.preferences import (
    dose_response,
    effect_against_probe,
    effects_by_layer,
    instrument_scores,
    lexical_parts,
    probe_by_layer,
    probe_correlations,
    whose_tokens,
    without_lexical,
)
from emolib.figures.scorecard import claims_table
from emolib.figures.severity import choice_map, paper_way, severity_curves, slopes_by_paraphrase
from emolib.figures.stability import (
    headline_variations,
    left_out,
    vector_reliability,
    vector_reliability_by_layer,
    verdicts_stay,
)
from emolib.figures.texts import found_without_a_model, reliability

__all__ = [
    "choice_map",
    "claims_table",
    "cluster_overlap",
    "components",
    "components_against_ratings",
    "confounds_and_remedies",
    "contrasts",
    "correlation_by_layer",
    "cosine_map",
    "curves_that_pass",
    "decompositions",
    "dose_response",
    "effect_against_probe",
    "effects_by_layer",
    "false_find_rates",
    "found_without_a_model",
    "headline_variations",
    "held_out_accuracy",
    "instrument_scores",
    "interval_coverage",
    "layer_similarity_map",
    "left_out",
    "lexical_parts",
    "misread_scores",
    "norms_by_place",
    "paper_way",
    "passage_curves",
    "passage_html",
    "power_curves",
    "preference_panel",
    "probe_by_layer",
    "probe_correlations",
    "quality_by_stories",
    "recovery_curves",
    "reliability",
    "scenario_accuracy",
    "scenario_winners",
    "severity_curves",
    "slopes_by_paraphrase",
    "subplots",
    "use",
    "vector_norms",
    "vector_reliability",
    "vector_reliability_by_layer",
    "verdicts_stay",
    "whose_tokens",
    "without_lexical",
]
