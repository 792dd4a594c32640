"""Large pages for large tensors, where the system has them (Linux).

torch gets the memory of each layer's result anew, and the kernel clears it page by page: a third of
the time of a UNet's widest layers.  In pages of 2 MB it is a tenth.  torch reads the setting at its
first allocation (c10/core/impl/alloc_cpu.cpp), so this module is imported before all others here;
whoever has set it otherwise keeps that.
"""

from __future__ import annotations

import os

SETTING = "THP_MEM_ALLOC_ENABLE"

os.environ.setdefault(SETTING, "1")
