"""Wheel builds carry `resources/` as `gui/_resources`, where `gui.paths` looks for it.

Named in pyproject.toml; setuptools runs it when a wheel is built.
"""

from __future__ import annotations

from pathlib import Path

from setuptools.command.build_py import build_py

SOURCE = Path("resources")
TARGET = Path("gui") / "_resources"
LEFT_OUT = {"icon.icns", "screenshot.png"}
"""For the bundle and the README only."""


class BuildWithResources(build_py):
    """setuptools' own step, and then the resources; an editable install reads them in place."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for source, target in self._resources():
            self.mkpath(str(Path(target).parent))
            self.copy_file(source, target, preserve_mode=False)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        outputs = list(super().get_outputs(include_bytecode))
        return outputs + [target for _source, target in self._resources()]

    def get_output_mapping(self) -> dict[str, str]:
        mapping = {target: source for source, target in self._resources()}
        return {**super().get_output_mapping(), **mapping}

    def _resources(self) -> list[tuple[str, str]]:
        """Source and target of every file, with hidden ones left out."""
        build = Path(self.build_lib)
        return [
            (str(path), str(build / TARGET / path.relative_to(SOURCE)))
            for path in sorted(SOURCE.rglob("*"))
            if path.is_file() and path.name not in LEFT_OUT and not path.name.startswith(".")
        ]
