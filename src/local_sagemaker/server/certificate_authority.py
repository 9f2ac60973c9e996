"""A local certificate authority, which signs certificates for the host names of AWS.

Its key is created on the first start and stays in the state folder. The key must stay private:
its owner can read the traffic of any program that trusts the bundle.
"""

import datetime
import ipaddress
import os
import ssl
import threading
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_YEARS = datetime.timedelta(days=3650)
_LEAF_DAYS = datetime.timedelta(days=397)


class CertificateAuthority:
    """Creates TLS contexts for host names, with certificates that the authority signs."""

    def __init__(self, folder: Path):
        """Read the authority from the folder, or create it there.

        Raises: ValueError if the folder has a key of another type.
        """
        self.certificate_file = folder / "ca.crt"
        self.bundle_file = folder / "ca-bundle.pem"
        key_file = folder / "ca.key"
        folder.mkdir(parents=True, exist_ok=True)
        if not (key_file.is_file() and self.certificate_file.is_file()):
            _create(key_file, self.certificate_file)
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{key_file} is not an elliptic curve key; remove the folder.")
        self._key = key
        self._certificate = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())
        # The bundle replaces a program's own, so it also has the public authorities.
        self.bundle_file.write_bytes(
            Path(certifi.where()).read_bytes() + b"\n" + self.certificate_file.read_bytes()
        )
        self._folder = folder
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()

    def context(self, host: str) -> ssl.SSLContext:
        """Return the TLS server context for a host, created at the first call."""
        with self._lock:
            if host not in self._contexts:
                self._contexts[host] = self._create_context(host)
            return self._contexts[host]

    def _create_context(self, host: str) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.timezone.utc)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(host[:64]))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + _LEAF_DAYS)
            .add_extension(x509.SubjectAlternativeName([_san(host)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        file = self._folder / f".leaf-{os.getpid()}-{threading.get_ident()}.pem"
        try:
            _write_private(file, _private(key) + certificate.public_bytes(_PEM))
            context.load_cert_chain(file)
        finally:
            file.unlink(missing_ok=True)
        return context


_PEM = serialization.Encoding.PEM


def _create(key_file: Path, certificate_file: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.timezone.utc)
    name = _name("Local SageMaker service")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(False, False, False, False, False, True, True, False, False),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_private(key_file, _private(key))
    certificate_file.write_bytes(certificate.public_bytes(_PEM))


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _write_private(file: Path, content: bytes) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(content)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _san(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
