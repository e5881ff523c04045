"""Body and reply of purging the response cache."""

from typing import Any, Literal

from pydantic import Field, field_validator

from core.schemas import Schema, example, text


class Purge(Schema):
    """Which cached answers to remove: those to `url`, or to all addresses that begin so."""

    model_config = example(
        {"method": "POST", "url": "/v1/embeddings"},
        {"method": "GET", "url": "/", "prefix": "/v1/models"},
    )

    method: Literal["GET", "POST"]
    url: text(2000, min_length=1) = Field(description="The path and query, with or without host.")
    prefix: text(2000, min_length=1) | None = Field(
        None, description="The beginning of paths; wins over `url`."
    )

    @field_validator("method", mode="before")
    @classmethod
    def _in_capitals(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value


class Purged(Schema):
    model_config = example({"deleted": True})

    deleted: bool | int = Field(description="Whether there was any; of a prefix how many.")
