"""``--json``: a document on standard output for the program that calls the command, and nothing else there.

Everything that people read goes to standard error then. Errors are documents too.
"""

from __future__ import annotations

import functools
import inspect
import json
import math
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from typing import Annotated, Any

import typer

from nucleus_unet import __version__
from nucleus_unet.cli.shared import console
from nucleus_unet.errors import NucleusError, SettingsError

VERSION = 1
"""Version of the documents. It grows when a key goes or changes its meaning; new keys may come at any time."""

SOME_FAILED, REFUSED, BUG, INTERRUPTED = 1, 2, 70, 130
"""Exit codes: some images failed; an option, a file or the memory is at fault; a bug; interrupted from the keyboard."""

AsJson = Annotated[
    bool,
    typer.Option("--json", help="Write JSON to standard output for other programs, and nothing else; errors too."),
]


class Answer:
    """What a command answers to the program that calls it.

    Attributes
    ----------
    keys
        Of the document, which is written when the command ends.
    """

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}

    def set(self, **keys: Any) -> None:
        """Set keys of the document."""
        self.keys |= keys


def answering(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--json`` to a command, which gets as ``answer`` what takes the keys of its document."""
    name = command.__name__

    @functools.wraps(command)
    def wrapper(*, as_json: bool, **values: Any) -> None:
        answer = Answer()
        if not as_json:
            command(**values, answer=answer)
            return
        out = sys.stdout
        code, error = 0, None
        with redirect_stdout(sys.stderr):
            try:
                command(**values, answer=answer)
            except typer.Exit as ended:
                code = ended.exit_code
            except BaseException as raised:  # is told here and raised again below
                code, error = exit_code_of(raised), raised
        out.write(document(name, code, error, answer.keys) + "\n")
        out.flush()
        if error is not None:
            tell_error(error)
        if code:
            raise typer.Exit(code)

    signature = inspect.signature(command, eval_str=True)
    own = [each for each in signature.parameters.values() if each.name != "answer"]
    flag = inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=AsJson)
    wrapper.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own), flag]
    )
    wrapper.__annotations__ = {each.name: each.annotation for each in (*own, flag)}
    return wrapper


def document(command: str, code: int, error: BaseException | None, keys: Mapping[str, Any]) -> str:
    r"""Return a document as one line of ASCII, whatever characters names of files have.

    Examples
    --------
    >>> print(document("info", 0, None, {"file": "ä"}).partition('"exit_code"')[2])
    : 0, "error": null, "file": "\u00e4"}
    """
    head = {
        "schema": f"nucleus-unet/{command}",
        "version": VERSION,
        "program": __version__,
        "exit_code": code,
        "error": None if error is None else {"type": _kind(error), "message": sentence(error)},
    }
    return json.dumps(_finite({**head, **keys}), allow_nan=False)


def exit_code_of(error: BaseException) -> int:
    """Return the exit code of a command that ended with an error.

    Examples
    --------
    >>> exit_code_of(FileNotFoundError()), exit_code_of(KeyError()), exit_code_of(KeyboardInterrupt())
    (2, 70, 130)
    """
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, NucleusError | OSError) or is_out_of_memory(error) or is_usage(error):
        return REFUSED
    return BUG


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is too little memory; torch has no class of its own for memory of the CPU."""
    said = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in said or "allocate" in said)
    )


def _kind(error: BaseException) -> str:
    if is_usage(error):
        return SettingsError.__name__
    return MemoryError.__name__ if is_out_of_memory(error) else type(error).__name__


def tell_error(error: BaseException) -> int:
    """Say on standard error what ended a command: a sentence, or the traceback of a bug. Return the exit code."""
    code = exit_code_of(error)
    if code == BUG:
        sys.excepthook(type(error), error, error.__traceback__)
    elif isinstance(error, KeyboardInterrupt):
        console.print("interrupted", style="red")
    elif code == REFUSED:
        console.print(f"error: {sentence(error)}", style="red", highlight=False)
    return code


def sentence(error: BaseException) -> str:
    """Return what an error says to people."""
    if is_out_of_memory(error):
        return f"not enough memory for this ({str(error) or 'the system gave no more'})"
    if is_usage(error):
        return str(error.format_message())  # type: ignore[attr-defined]
    return str(error) or type(error).__name__


def is_usage(error: BaseException) -> bool:
    """Whether typer raised an error for options or arguments that it cannot read; its class has no public name."""
    return callable(getattr(error, "format_message", None))


def _finite(value: Any) -> Any:
    """Return a value with null for numbers that JSON has no word for."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value
