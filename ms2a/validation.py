"""Plain data that a user writes, read into typed objects; mistakes in the data become one line."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from ms2a.errors import UserError, shortened

# Mistakes that are told in one line.
MOST = 4
T = TypeVar("T", bound=BaseModel)
# Numbers are numbers: neither texts, nor truth values, nor NaN, nor infinite.
Whole = Annotated[int, Field(strict=True)]
Positive = Annotated[int, Field(strict=True, ge=1)]
NonNegative = Annotated[int, Field(strict=True, ge=0)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
NonNegativeNumber = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Text = Annotated[str, Field(strict=True)]
Name = Annotated[str, Field(strict=True, min_length=1)]
Flag = Annotated[bool, Field(strict=True)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**32)]
Item = TypeVar("Item")


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def names(value: Any) -> Any:
    """Refuses what is neither a name nor a list of names."""
    if not isinstance(value, str) and not all(isinstance(name, str) for name in _items(value)):
        raise ValueError(f"is {shortened(value)}, expected a list of names or one name")
    return value


def _items(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (None,)


# Lists, which may be tuples.
Listed = Annotated[list[Item], BeforeValidator(_as_list)]
Pair = Annotated[list[Positive], BeforeValidator(_as_list), Field(min_length=2, max_length=2)]
Names = Annotated[Any, AfterValidator(names)]


class Section(BaseModel):
    """A mapping with known keys. What is declared optional may be left out; any other key is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, value: Any, info: ValidationInfo) -> Any:
        known = ", ".join(sorted(cls.model_fields))
        if not isinstance(value, Mapping):
            raise ValueError(f"is {shortened(value)}, expected a mapping with {known}")
        if unknown := ", ".join(sorted(map(str, value.keys() - cls.model_fields.keys()))):
            raise ValueError(f"has unknown {unknown}; known: {known}")
        return value


class Open(BaseModel):
    """A mapping of which some keys are read here."""

    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _is_mapping(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError(f"is {shortened(value)}, expected a dictionary")
        return dict(value)


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
        mistakes = list(map(_told, error.errors(include_url=False, include_context=False)))
        more = f"; and {len(mistakes) - MOST} more" if len(mistakes) > MOST else ""
        raise UserError(f"{where}: {'; '.join(mistakes[:MOST])}{more}") from None
    except ValueError as error:  # such as a number of thousands of digits
        raise UserError(f"{where}: {error}") from None


def _told(mistake: Mapping[str, Any]) -> str:
    """One mistake as ``'place' is VALUE, expected …``; what the models' own validators say names the value itself."""
    place = repr(".".join(map(str, mistake["loc"]))) if mistake["loc"] else ""
    if mistake["type"] == "missing":
        return f"{place} is missing; add it"
    what = mistake["msg"].removeprefix("Value error, ").replace("Input should", "expected to")
    what = what.replace("expected to be", "expected").replace("expected to have", "expected")
    if mistake["type"] != "value_error":
        what = f"is {shortened(mistake['input'])}, {what}"
    return f"{place} {' '.join(what.split())}".lstrip()
