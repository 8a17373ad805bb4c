from .encoders import TextEncoder, load_encoder, load_text_model
