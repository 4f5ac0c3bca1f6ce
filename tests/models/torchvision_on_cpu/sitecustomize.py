"""Lets a torchvision that was built for CUDA be imported beside a torch that was built for the CPU.

Such a torchvision cannot load its compiled operators, which only detection needs, and then fails to
describe two of them. With this folder on PYTHONPATH they are declared before it asks for them.
"""

import importlib.abc
import sys


class _BeforeTorchvision(importlib.abc.MetaPathFinder):
    """Runs once, when torchvision is first imported; it finds nothing itself."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            import torch

            if torch.version.cuda is None:
                # What is declared is forgotten with the library.
                self.library = torch.library.Library("torchvision", "FRAGMENT")
                for operator in ("nms", "qnms"):
                    self.library.define(f"{operator}(Tensor boxes, Tensor scores, float limit) -> Tensor")
                torch.steelyard_keeps = self
        return


sys.meta_path.insert(0, _BeforeTorchvision())
