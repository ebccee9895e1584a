"""What every table of the configuration is: known keys only, never changed, silent about what a wrong value was."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Table"]


class Table(BaseModel):
    """The base of the tables' models."""

    # What a value was is never repeated by pydantic: it may be a secret.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
