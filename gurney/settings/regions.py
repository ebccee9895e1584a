"""The ``regions.toml`` of a rule: its own, or the one that comes with Gurney."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from gurney.transfer.prefetch.regions import InvalidRegions, Regions

__all__ = ["read_regions"]


def read_regions(path: str = "") -> Regions:
    """Read a file of regions; without a path the built-in one. Raises InvalidRegions, with the file and the reason."""
    if not path:
        return Regions.parse(files("gurney.transfer.prefetch").joinpath("regions.toml").read_text("utf-8"))
    try:
        return Regions.parse(Path(path).read_text("utf-8"))
    except OSError as error:
        raise InvalidRegions(f"{path}: {error.strerror}: name a file that can be read") from None
    except UnicodeDecodeError:
        raise InvalidRegions(f"{path}: is not UTF-8") from None
    except InvalidRegions as error:
        raise InvalidRegions(f"{path}: {error}") from None
