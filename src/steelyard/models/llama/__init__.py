"""Llama and its near relatives in numpy: small language models without anything compiled for them."""
