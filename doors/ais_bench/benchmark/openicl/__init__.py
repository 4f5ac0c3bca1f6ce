"""How a configured data set is asked and scored, in words that configurations use."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
