"""A model, data and a metric of one's own.

steelyard eval --model examples/shout.py:Shout --data examples/shout.py:animals --metric exact
"""

from steelyard import LocalModel, Response


class Shout(LocalModel):
    """Says everything louder."""

    def batch(self, requests):
        """Answer several requests at once."""
        return [Response(text=r.prompt.upper()) for r in requests]


def animals():
    """Rows with an input and a target."""
    yield {"input": "cat", "target": "CAT"}
    yield {"input": "dog", "target": "DOG"}


def short(sample, response):
    """Pass or fail, because it returns a bool: --metric examples/shout.py:short."""
    return len(response.text) < 4
