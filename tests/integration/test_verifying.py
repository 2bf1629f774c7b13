"""Signatures verified by the scorer's own client, made by boto3's, on the local cloud's KMS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credit_core.adapters.signing import KmsSigner
from credit_core.adapters.verifying import kms_verifier
from credit_core.errors import ModelUnavailableError
from tests.builders_aws import create_signing_key

if TYPE_CHECKING:
    from tests.integration.conftest import LocalCloud

MANIFEST = b'{"version": "v1"}'


@pytest.fixture
def signer(local_cloud_bare: LocalCloud) -> tuple[KmsSigner, str]:
    kms = local_cloud_bare.client("kms")
    key = create_signing_key(kms)
    return KmsSigner(kms, key), key


def test_a_signature_is_known_again(signer: tuple[KmsSigner, str]) -> None:
    signs, key = signer
    is_signed = kms_verifier(key)

    first, second = signs.sign(MANIFEST), signs.sign(MANIFEST)

    assert first != second
    assert is_signed(MANIFEST, first)
    assert is_signed(MANIFEST, second)
    assert signs.is_signed(MANIFEST, first)


def test_other_bytes_or_another_signature_are_not(signer: tuple[KmsSigner, str]) -> None:
    signs, key = signer
    signature = signs.sign(MANIFEST)
    flipped = bytes([signature[0], *signature[1:-1], signature[-1] ^ 1])

    for is_signed in (kms_verifier(key), signs.is_signed):
        assert not is_signed(MANIFEST + b" ", signature)
        assert not is_signed(MANIFEST, flipped)
        assert not is_signed(MANIFEST, b"rubbish")


def test_a_signature_under_another_key_is_none(
    signer: tuple[KmsSigner, str], local_cloud_bare: LocalCloud
) -> None:
    signature = signer[0].sign(MANIFEST)
    another = create_signing_key(local_cloud_bare.client("kms"))

    assert not kms_verifier(another)(MANIFEST, signature)


@pytest.mark.usefixtures("local_cloud_bare")
def test_a_key_that_does_not_answer_is_no_word_on_the_signature() -> None:
    with pytest.raises(ModelUnavailableError, match="did not verify a signature: NotFound"):
        kms_verifier("alias/no-such-key")(MANIFEST, b"x")
