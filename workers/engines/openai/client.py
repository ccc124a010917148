"""The HTTP client, and what stands in its way: proxies and certificates that environment variables name.

A server on this machine is never sent through a proxy. A variable that cannot be used is named, and its value is not
shown, as it may hold a password.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from rprm_jobs.errors import ConfigError
from workers.engines.openai.options import OpenaiOptions

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_CONNECT_S = 10.0


def make_client(options: OpenaiOptions, key: str) -> Any:
    """An httpx.AsyncClient for the server of `options`. Raises ConfigError that names an unusable variable."""
    import httpx

    local = is_loopback(options.base_url)
    try:
        return httpx.AsyncClient(
            base_url=options.base_url.rstrip("/") + "/",
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(options.timeout_s, connect=_CONNECT_S, pool=None),
            limits=httpx.Limits(max_connections=options.concurrency + 1),
            follow_redirects=False,
            trust_env=not local,
            verify=_certificates(options.base_url) if local else True,
        )
    except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
        raise _unusable(error) from None


def is_loopback(url: str) -> bool:
    """Whether `url` names this machine itself."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def proxy_of(url: str) -> str:
    """The variable whose proxy stands between here and `url`, or empty."""
    if is_loopback(url):
        return ""
    names = [f"{urlsplit(url).scheme.upper()}_PROXY", "ALL_PROXY"]
    return next((variable for name in names for variable in (name, name.lower()) if os.environ.get(variable)), "")


def _certificates(url: str) -> ssl.SSLContext | bool:
    """What a server on this machine is checked against; httpx looks at these variables only together with proxies."""
    paths = [os.environ.get(name) for name in _CERTIFICATES]
    if urlsplit(url).scheme != "https" or not any(paths):
        return True
    return ssl.create_default_context(cafile=paths[0] or None, capath=paths[1] or None)


def _unusable(error: Exception) -> ConfigError:
    for name in (variable for upper in _PROXIES for variable in (upper, upper.lower())):
        if reason := _bad_proxy(os.environ.get(name, "")):
            return ConfigError(f"the proxy in {name} cannot be used: {reason}", hint=f"correct or unset {name}")
    if isinstance(error, OSError):
        name = next((name for name in _CERTIFICATES if os.environ.get(name)), _CERTIFICATES[0])
        return ConfigError(
            f"the certificates in {name} cannot be read: {error.strerror or 'no certificate in it'}",
            hint=f"correct or unset {name}",
        )
    name = next((name for name in ("NO_PROXY", "no_proxy") if os.environ.get(name)), "the proxy variables")
    return ConfigError(f"{name} cannot be used: {type(error).__name__}", hint=f"correct or unset {name}")


def _bad_proxy(value: str) -> str:
    if not value:
        return ""
    scheme = value.partition("://")[0].lower() if "://" in value else "http"
    if scheme in ("socks5", "socks5h"):
        return "" if find_spec("socksio") else "a SOCKS proxy needs the package socksio (pip install socksio)"
    return "" if scheme in ("http", "https") else f"its scheme is {scheme!r}, not http, https or socks5"
