from .answers import span_scores
from .classification import (
    classification_scores,
    multilabel_scores,
    regression_scores,
    translation_scores,
)
from .code import code_scores
from .summaries import summary_scores
