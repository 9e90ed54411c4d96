"""Keys and certificates of an OPC UA source, and whom it trusts. Loaded only by a source of the type opcua."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from asyncua import Client, ua
from asyncua.crypto import security_policies, uacrypto
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from agent.collectors.opcua import OpcuaSettings
from agent.collectors.settings import read_secret
from agent.errors import ConfigError


class Untrusted(Exception):
    """The server showed a certificate that we do not trust."""


async def secure(client: Client, s: OpcuaSettings, now: datetime) -> None:
    """Give a client its keys; if the server's certificate must be asked for, it is checked first.

    Raises ConfigError for a file that cannot be used, Untrusted, or what asyncua raises while it asks.
    """
    if s.user_certificate_file is not None and s.user_key_file is not None:
        client.user_certificate = certificate("user_certificate_file", s.user_certificate_file)
        client.user_private_key = await _key("user_key_file", s.user_key_file, None)
    if s.security_policy == "None" or s.certificate_file is None or s.key_file is None:
        return
    own = certificate("certificate_file", s.certificate_file)
    client.application_uri = s.application_uri or _uri_in(own) or client.application_uri
    policy = getattr(security_policies, f"SecurityPolicy{s.security_policy}")
    mode = ua.MessageSecurityMode[s.security_mode]
    key = await _key("key_file", s.key_file, s.key_password_file)
    if s.server_certificate_file is not None:
        server = certificate("server_certificate_file", s.server_certificate_file)
        with suppress(OSError, ua.UaError):  # it may answer nobody who has no keys; then only the channel will tell
            if await _shown(client, policy.URI, mode) not in (None, server):
                raise Untrusted("it shows another certificate than server_certificate_file")
    else:
        assert s.trust_dir is not None
        shown = await _shown(client, policy.URI, mode)
        if shown is None or not trusted(shown, s.trust_dir, now):
            said = "none" if shown is None else shown.subject.rfc4514_string()[:100]
            raise Untrusted(f"not in trust_dir, or out of date: {said}")
        server = shown
    client.security_policy = policy(server, own, key, mode)
    client.uaclient.set_security(client.security_policy)


async def _shown(client: Client, uri: str, mode: ua.MessageSecurityMode) -> x509.Certificate | None:
    """The certificate that the server shows for this policy, asked for on a channel without security."""
    endpoint = client.find_endpoint(await client.connect_and_get_server_endpoints(), mode, uri)
    shown: x509.Certificate | None = uacrypto.x509_from_der(endpoint.ServerCertificate)
    return shown


def _content(field: str, path: Path, private: bool = False) -> bytes:
    try:
        if private and path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            raise ConfigError(field, str(path), "every user can read it; chmod o-rw")
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(field, str(path), f"cannot be read: {type(error).__name__}") from error


def _read_certificate(content: bytes) -> x509.Certificate:
    return (x509.load_pem_x509_certificate if b"-----BEGIN" in content else x509.load_der_x509_certificate)(content)


def certificate(field: str, path: Path) -> x509.Certificate:
    try:
        return _read_certificate(_content(field, path))
    except ValueError as error:
        raise ConfigError(field, str(path), "holds no certificate in PEM or DER") from error


async def _key(field: str, path: Path, password_file: Path | None) -> Any:
    content = _content(field, path, private=True)
    password = None if password_file is None else read_secret("key_password_file", password_file)
    try:
        return await uacrypto.load_private_key(content, password, "pem" if b"-----BEGIN" in content else "der")
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(field, str(path), "holds no private key in PEM or DER, or its password is wrong") from error


def _uri_in(certificate: x509.Certificate) -> str | None:
    with suppress(x509.ExtensionNotFound, ValueError):
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return next(iter(names.get_values_for_type(x509.UniformResourceIdentifier)), None)
    return None


def trusted(shown: x509.Certificate, folder: Path, now: datetime) -> bool:
    """True if the folder holds this certificate or a CA that signed it, and neither is out of date."""
    if not _in_date(shown, now):
        return False
    for known in _certificates(folder):
        if known == shown:
            return True
        with suppress(x509.ExtensionNotFound, ValueError, TypeError, InvalidSignature):
            is_ca = known.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
            shown.verify_directly_issued_by(known)
            if is_ca and _in_date(known, now):
                return True
    return False


def _in_date(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _certificates(folder: Path) -> Iterator[x509.Certificate]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".pem", ".der", ".crt", ".cer"))
    except OSError as error:
        raise ConfigError("trust_dir", str(folder), f"cannot be read: {type(error).__name__}") from error
    for path in paths:
        with suppress(ValueError):  # a key, or something else: nobody is trusted for it
            yield _read_certificate(_content("trust_dir", path))
