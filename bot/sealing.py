"""Seals personal values (AES-256-GCM) and makes keyed hashes of them, all from the one secret key."""

import hmac
import os
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12  # bytes, as NIST SP 800-38D advises for GCM


class Seal:
    """Keys for separate purposes are derived from the secret, so that none gives away another."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._cipher = AESGCM(self._derive("seal"))

    def _derive(self, purpose: str) -> bytes:
        return HKDF(SHA256(), 32, salt=None, info=f"tingsu {purpose}".encode()).derive(self._secret)

    def seal(self, clear: str) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, clear.encode(), None)

    def open(self, sealed: bytes) -> str:
        """Raises ValueError when it was sealed with another key or has been changed."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], None).decode()
        except InvalidTag:
            raise ValueError("sealed with another secret key") from None

    def digest(self, purpose: str, value: str) -> str:
        """A keyed hash (hex, 64 characters) for looking a value up without storing it."""
        return hmac.new(self._derive(f"digest {purpose}"), value.encode(), sha256).hexdigest()
