"""What tests of the C++ loops need of the machine."""

import pytest

from recmtl.kernels import engine
from recmtl.kernels.library import multiplies


def need(*, products: bool = False) -> None:
    """Skip where no compiler made the loops, or those of whole networks, which ask more of it."""
    if engine() != "native" or (products and not multiplies()):
        pytest.skip("needs a C++ compiler with OpenMP")
