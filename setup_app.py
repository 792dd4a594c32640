"""py2app's build script: ``python setup_app.py py2app`` makes `dist/Sfumato.app` (macOS only).

`make app` runs it in an environment of its own and does what must follow: see
`packaging/macos/build.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import setuptools

ROOT = Path(__file__).resolve().parent
# Last, and not first as Python puts it, so that our `packaging` hides no package of that name.
sys.path[:] = [place for place in sys.path if Path(place).resolve() != ROOT] + [str(ROOT)]
sys.path.append(str(ROOT / "packaging"))

from macos import info_plist  # noqa: E402

from gui import __version__ as VERSION  # noqa: E402,N812

sys.path.pop()

# Kept whole and as files: they carry data, read their own source, load libraries from beside
# themselves, or import by name at run time, none of which survives py2app's zip.
PACKAGES = [
    "AppKit", "CoreFoundation", "CoreML", "Foundation", "Quartz", "Vision", "objc",
    "PIL", "PySide6", "shiboken6",
    "pillow_heif", "watchfiles",
    "accelerate", "anyio", "attrs", "attr", "cattr", "cattrs", "c2pa", "certifi",
    "charset_normalizer",
    "coremltools", "cryptography", "diffusers", "functorch", "gui", "huggingface_hub",
    "fastapi", "httpcore2", "httpx2", "jsonschema", "jsonschema_specifications", "jwt", "keyring",
    "mcp", "mcp_types", "mpmath", "numpy", "psutil", "pydantic", "pydantic_core",
    "python_multipart", "referencing", "regex", "rpds",
    "safetensors", "scipy", "sse_starlette", "starlette", "sympy", "tokenizers", "torch",
    "torchgen", "transformers", "uvicorn", "yaml",
    # Several Macs: `distributed`, whose transport is used, with what it imports at its start
    "cloudpickle", "dask", "distributed", "ifaddr", "locket", "msgpack", "partd",
    "sortedcontainers", "tblib", "tlz", "toolz", "tornado", "zeroconf", "zict",
]  # fmt: skip

# `google`, `jaraco`, `opentelemetry` and `PyObjCTools` are namespaces without an __init__, which
# are no packages to py2app; and a name that is a path here, as `packaging` is, it takes for that
# path.
INCLUDES = [
    "encodings.idna", "google.protobuf.*", "google.protobuf.internal.*",
    "jaraco.classes.*", "jaraco.context", "jaraco.functools", "PyObjCTools.KeyValueCoding",
    "packaging.*",
    # FastAPI's, which does nothing with it unless it is told to
    "opentelemetry._logs.*", "opentelemetry.attributes", "opentelemetry.baggage.*",
    "opentelemetry.context.*", "opentelemetry.environment_variables", "opentelemetry.metrics.*",
    "opentelemetry.propagate", "opentelemetry.propagators.*", "opentelemetry.trace.*",
    "opentelemetry.util.*",
]  # fmt: skip

EXCLUDES = [
    "_distutils_hack", "_pytest", "_tkinter", "ensurepip", "idlelib", "lib2to3", "pip",
    "apple_platform", "dmgbuild", "ds_store", "mac_alias",
    "pkg_resources", "pytest", "pytestqt", "setuptools", "test", "tkinter", "wheel",
    "Cython", "IPython", "ipykernel", "matplotlib", "pandas", "sklearn", "xgboost",
    "bitsandbytes", "flax", "peft", "sd_parsers", "jax", "onnx", "onnxruntime", "tensorboard",
    "tensorflow", "triton", "PyQt5", "PyQt6", "PySide2",
    "coremltools.test", "torch.utils.tensorboard",
    # Used by our libraries for what Sfumato does not do: servers, commands, Xet's transport.
    "hf_xet", "typer",
]  # fmt: skip

PLIST: dict[str, Any] = info_plist.info_plist(VERSION)

OPTIONS: dict[str, Any] = {
    "arch": "arm64",
    "argv_emulation": False,  # it opens Tk-like event loops of its own; Qt handles FileOpen
    "emulate_shell_environment": False,
    "excludes": EXCLUDES,
    "extra_scripts": ["packaging/launchers/engine.py"],
    "iconfile": "resources/icon.icns",
    "includes": INCLUDES,
    "no_chdir": True,  # a relative path on the command line means the caller's folder
    "no_report_missing_conditional_import": True,
    "optimize": 0,  # diffusers builds its documentation strings at import
    "packages": PACKAGES,
    "plist": PLIST,
    "redirect_stdout_to_asl": False,  # it takes file descriptors 1 and 2 from the engine
    "resources": [
        str(path.relative_to(ROOT))
        for path in (
            ROOT / "resources",
            info_plist.DOCUMENT_ICON,
            *info_plist.STRINGS,
            info_plist.COMPILED_ICON,
        )
        if path.exists()
    ],
    "semi_standalone": False,
    "site_packages": False,
    "strip": False,  # stripping breaks signatures inside the wheels
}


class AppDistribution(setuptools.Distribution):
    """A distribution that leaves pyproject.toml alone: py2app refuses its dependencies."""

    def parse_config_files(self, *args: Any, **kwargs: Any) -> None:
        del args, kwargs


UNWANTED_RECIPES = ("PIL", "multiprocessing", "sslmod")
"""What py2app would have every process do first, before a window is painted: import each of
Pillow's plugins (PIL is kept whole, and finds them); import `multiprocessing.spawn` (our children
are started otherwise); and replace the person's ``SSL_CERT_FILE`` by the certificates that the
building machine happens to have (we bring certifi)."""


def without_recipes() -> None:
    """Have py2app pass over `UNWANTED_RECIPES`."""
    from py2app import recipes

    for name in UNWANTED_RECIPES:
        getattr(recipes, name).check = lambda command, graph: None


if __name__ == "__main__":
    without_recipes()
    # modulegraph walks syntax trees recursively; torch's and sympy's are deep.
    sys.setrecursionlimit(10_000)
    setuptools.setup(
        name="Sfumato",
        version=VERSION,
        app=["packaging/launchers/Sfumato.py"],
        options={"py2app": OPTIONS},
        packages=[],
        py_modules=[],
        distclass=AppDistribution,
    )
