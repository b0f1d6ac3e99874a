import pytest

from ms2a.errors import UserError
from ms2a.memory.domains import check_domain_name, choose_domain


@pytest.mark.parametrize("name", ["", "a.b", "../a", "a b", "-x", "a\n", "a" * 201, None, 3])
def test_names_that_cannot_be_file_names_or_keys(name):
    with pytest.raises(UserError, match="not usable"):
        check_domain_name(name)


@pytest.mark.parametrize(
    ("domain", "known", "default", "expected"),
    [
        ("fog", ["city", "fog"], "city", "fog"),  # what is asked for wins over the default
        (None, ["city", "fog"], "city", "city"),
        ("", ["city", "fog"], "city", "city"),
        ("anything", [], None, "anything"),  # no memory: nothing to know
        (None, [], None, None),
    ],
)
def test_the_domain_that_is_read(domain, known, default, expected):
    assert choose_domain(domain, known, default) == expected


def test_unknown_and_missing_domains_name_the_known_ones():
    with pytest.raises(UserError, match="unknown domain 'night'; the memory knows city, fog"):
        choose_domain("night", ["city", "fog"], "city")
    with pytest.raises(UserError, match="unknown domain 'night'; the memory knows city, fog"):
        choose_domain(None, ["city", "fog"], "night")
    with pytest.raises(UserError, match=r"no domain is named \(known: city, fog\)"):
        choose_domain(None, ["city", "fog"])
