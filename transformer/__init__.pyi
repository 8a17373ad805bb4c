from .config import DecodingConfig, ModelConfig, TokenizerConfig, TrainingConfig
from .generation.generator import Generator
from .model.transformer import Decoder, Encoder, Transformer
from .pipelines.encoder import pipeline
from .pretrained.encoders import TextEncoder, load_encoder
from .text.tokenizer import load_tokenizer, train_tokenizer

__version__: str
