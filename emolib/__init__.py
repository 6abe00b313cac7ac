"""emolib: emotion vectors in open language models, from texts to tested claims."""

__version__ = "0.1.0"
