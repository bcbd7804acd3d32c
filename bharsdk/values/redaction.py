"""Print addresses without their secrets: user names, passwords, tokens and paths."""

from __future__ import annotations

import re

__all__ = ["address_name", "redacted"]

SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*"
WHOLE = re.compile(rf"\s*({SCHEME})://(.*)", re.DOTALL)
LOCAL = frozenset({"csi", "file", "v4l2"})
"""Schemes of this machine, which hold no secret."""
# Up to the last @ of the text, whatever stands between: a password may hold spaces and quotes.
REST = r"(?:.*@)?[^\s'\"]*"
ADDRESS = re.compile(rf"\b{SCHEME}:/{{1,2}}{REST}", re.DOTALL)
ADDRESS_AS_PATH = re.compile(rf"\b{SCHEME}:/(?!/){REST}", re.DOTALL)
"""A Path leaves one slash of two."""
MAY_HIDE = re.compile(r"[@?=]|^(?:rts|rtm|srt)", re.IGNORECASE)
"""An address in a message is left as it is where nothing says that it holds a secret."""
HOST_AND_PORT = re.compile(r"(?:[\w.~-]+|\[[0-9A-Fa-f:.]+(?:%[\w.~-]+)?\])(?::[0-9]{1,5})?")


def address_name(address: str) -> str:
    """Return scheme, host and port of ``address``; the rest may be secret.

    ``rtsp://me:secret@10.0.0.9:554/live?token=1`` becomes ``rtsp://10.0.0.9:554/...``. Paths are
    left out too, since some cameras put a password there. A password with ``/`` or ``@`` hides
    where the host begins; then the scheme alone stays: ``rtsp://...``. Text that is no address
    stays as it is.
    """
    whole = WHOLE.fullmatch(address)
    if whole is None or whole[1].lower() in LOCAL:
        return address
    return _named(whole[1], whole[2])


def redacted(text: str, *, is_ours: bool = False) -> str:
    """Return ``text`` with the secrets of every address in it left out.

    is_ours: the message is ours and names addresses safely already; then only a path is checked,
    since somebody may have taken an address for a file.
    """
    return (ADDRESS_AS_PATH if is_ours else ADDRESS).sub(_found, text)


def _found(match: re.Match[str]) -> str:
    scheme, _, rest = match[0].partition(":")
    if scheme.lower() in LOCAL or not MAY_HIDE.search(match[0]):
        return match[0]
    return _named(scheme, rest.lstrip("/"))


def _named(scheme: str, rest: str) -> str:
    """What may be said of ``scheme://rest``."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    tail = rest[len(authority) :]
    host = authority.rpartition("@")[2]
    if "@" in tail or not HOST_AND_PORT.fullmatch(host):
        return f"{scheme.lower()}://..."
    return f"{scheme.lower()}://{host}{'/...' if tail.strip('/') else ''}"
