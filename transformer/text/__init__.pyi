from .encoder_inputs import TextInputs, load_text_inputs
from .tokenizer import load_tokenizer, train_tokenizer
