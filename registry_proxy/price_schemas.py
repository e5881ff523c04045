"""Custom prices, as projects set them and see them."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from core.schemas import Amount, Number, Schema, Text, Timestamp, example, text


class NewPrice(Schema):
    """What you pay for a model: prices, a factor of the registry's, or another model's prices."""

    model_config = example(
        {
            "provider": "azure",
            "model": "my-deployment",
            "priced_as": "openai:gpt-4o-mini",
            "factor": 0.9,
            "replace": True,
        }
    )

    provider: text(50, min_length=1) = Field(description="As calls name it; `*` is any text.")
    model: text(255, min_length=1) = Field(description="As calls name it; `*` is any text.")
    modifier: text(100) | None = Field(
        None, description="Only for calls with this modifier, such as `speed=fast`."
    )
    prices: dict[Text, Amount] | None = Field(
        None, description="US dollars per million of a token class, or per one of a unit."
    )
    factor: Amount | None = Field(None, description="Multiplies the registry's prices.")
    priced_as: text(255) | None = Field(
        None, description="`provider:model` whose registry prices apply."
    )
    valid_from: Timestamp | None = Field(None, description="Default: now.")
    valid_to: Timestamp | None = Field(None, description="Default: no end.")
    note: text(255) | None = None
    replace: bool | None = Field(
        None, description="End an earlier price when this one begins, instead of 409."
    )


class Price(Schema):
    id: int
    project_id: UUID | None = Field(
        description="Null for a price of the operator, for all projects."
    )
    provider: str
    model: str
    modifier: str
    prices: dict[str, str]
    factor: Number | None
    priced_as: str
    valid_from: datetime
    valid_to: datetime | None
    note: str
