from .ctranslate2 import export_ctranslate2
