from .generator import Generator
