from __future__ import annotations

import pytest

from bharsdk import errors

EXIT_CODES = {
    "BharError": 1,
    "UsageError": 2,
    "InputError": 3,
    "BundleError": 4,
    "IncompatibleError": 5,
    "AccuracyGateError": 6,
    "ParityError": 7,
    "BackendMissingError": 8,
    "SourceError": 9,
}


@pytest.mark.parametrize(("name", "code"), EXIT_CODES.items())
def test_each_error_has_its_documented_exit_code(name: str, code: int) -> None:
    """The codes of the architecture document, one per error."""
    error = getattr(errors, name)
    assert error.exit_code == code
    assert issubclass(error, errors.BharError)


def test_the_tree_holds_no_undocumented_error() -> None:
    """Every public error class is in the table above, and drawn in the module's docstring."""
    classes = {n for n in errors.__all__ if isinstance(getattr(errors, n), type)}
    assert classes == set(EXIT_CODES)
    assert errors.__doc__ is not None
    for name, code in EXIT_CODES.items():
        (line,) = (x for x in errors.__doc__.splitlines() if f" {name} " in f"{x} ")
        assert line.split(name)[1].split()[0] == str(code)


def test_a_missing_package_names_the_pip_install_that_brings_it() -> None:
    """The message can be pasted into a shell."""
    error = errors.BackendMissingError.for_extra("mediapipe", "camera")
    assert "mediapipe is not installed" in str(error)
    assert "pip install 'bharsdk[camera]'" in str(error)


def test_a_value_left_over_by_a_match_is_an_internal_error() -> None:
    """assert_never fails loudly with the value, should a type checker be ignored."""
    with pytest.raises(AssertionError, match="'surprise'"):
        errors.assert_never("surprise")  # type: ignore[arg-type]
