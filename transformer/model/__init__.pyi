from .attention import MultiHeadAttention
from .heads import ClassificationHead, RegressionHead, SimilarityHead, SpanHead, TextModel
from .transformer import Decoder, Encoder, Transformer
