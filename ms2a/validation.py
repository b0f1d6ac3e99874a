"""Plain data that a user writes, read into typed objects; mistakes in the data become one line."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, model_validator

from ms2a.errors import UserError

T = TypeVar("T", bound=BaseModel)


class Section(BaseModel):
    """A mapping with known keys. What is declared optional may be left out; any other key is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, value: Any, info: ValidationInfo) -> Any:
        known = ", ".join(sorted(cls.model_fields))
        if not isinstance(value, Mapping):
            raise ValueError(f"is {value!r}, expected a mapping with {known}")
        if unknown := ", ".join(sorted(map(str, value.keys() - cls.model_fields.keys()))):
            raise ValueError(f"has unknown {unknown}; known: {known}")
        return value


def validated(model: type[T], value: Any, where: str, context: Any = None) -> T:
    """The value as an object of a pydantic model.

    Args:
        model: a :class:`Section`, or any other pydantic model.
        value: what was read from a file.
        where: what the value is, with the file's name; every mistake is told of it.
        context: for the validators of the model.

    Raises:
        UserError: the value does not fit; one line names every place, its value and what was expected there.
    """
    try:
        return model.model_validate(value, context=context)
    except ValidationError as error:
        raise UserError(f"{where}: {'; '.join(map(_told, error.errors()))}") from None


def _told(mistake: Mapping[str, Any]) -> str:
    """One mistake as ``'place' is VALUE, expected …``; what the models' own validators say names the value itself."""
    place = repr(".".join(map(str, mistake["loc"]))) if mistake["loc"] else ""
    if mistake["type"] == "missing":
        return f"{place} is missing; add it"
    what = mistake["msg"].removeprefix("Value error, ").replace("Input should", "expected to")
    what = what.replace("expected to be", "expected").replace("expected to have", "expected")
    if mistake["type"] != "value_error":
        what = f"is {mistake['input']!r}, {what}"
    return f"{place} {' '.join(what.split())}".lstrip()
