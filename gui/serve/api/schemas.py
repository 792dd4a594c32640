"""Bodies and answers of Sfumato's own API."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Asked(BaseModel):
    """Put a request in line."""

    model_config = ConfigDict(hide_input_in_errors=True, allow_inf_nan=False)

    request: dict[str, Any] = Field(
        description="A `PictureRequest`: at least its `prompt`. `model`, `loras`, `upscaler`, "
        "`refiner` and `controls` by name; pictures as `upload:<id>` or `picture:<number>`. "
        "`seed` left out: a random one."
    )
    keep: bool = Field(True, description="Whether the pictures go into the gallery.")


class Moved(BaseModel):
    """Where a request that waits is to stand."""

    before: str | None = Field(None, description="Id of another one; null: at the end.")


class Paused(BaseModel):
    paused: bool


class JobState(BaseModel):
    """One request in the queue."""

    id: str
    status: str = Field(description="queued, running, done, cancelled or failed")
    request: dict[str, Any] = Field(description="Without folders.")
    pictures: list[int | None] = Field(
        description="Numbers in the gallery of those that are made; null: not there (yet)."
    )
    made: int
    count: int
    error: str | None = None


class QueueState(BaseModel):
    """Everything that is listed, in order."""

    jobs: list[JobState]
    paused: bool


class ModelState(BaseModel):
    name: str
    chosen: bool = Field(description="Whether requests that name none are made with it.")


class PictureState(BaseModel):
    """One picture of the gallery."""

    number: int
    name: str
    created: float = Field(description="Seconds since 1970.")
    width: int
    height: int
    prompt: str
    negative_prompt: str
    model: str
    scheduler: str
    seed: int | None
    steps: int | None
    favourite: bool
    tags: list[str]


class PicturesFound(BaseModel):
    total: int
    pictures: list[PictureState]


class Upload(BaseModel):
    """A picture that was sent."""

    id: str = Field(description="To be used as `upload:<id>`.")
    width: int
    height: int


class About(BaseModel):
    program: str
    version: str
