from .encoder import TextPipeline, pipeline
from .text_to_text import GenerationPipeline
