"""The interface of a benchmark of services and local models: its classes, configurations and command.

A folder `ais_bench` of one's own, on the path or in the working folder, is a part of this package: its
modules are found by the same names, `ais_bench.benchmark.models.api_models.my_custom_api` for one.
"""

import os
from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
# A command is started from where it is installed, so that the working folder is not on its path.
if os.path.isdir("ais_bench") and os.path.abspath("ais_bench") not in __path__:  # noqa: PTH100, PTH112
    __path__.append(os.path.abspath("ais_bench"))  # noqa: PTH100
