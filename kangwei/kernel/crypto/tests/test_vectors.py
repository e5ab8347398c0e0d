"""Published values: what the standards say must come out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kangwei.kernel.crypto import sm2
from kangwei.kernel.crypto.provider import SoftwareProvider, Unreadable, same

provider = SoftwareProvider()


def test_sm3_of_abc_as_in_gbt_32905() -> None:
    digest = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert provider.sm3(b"abc").hex() == digest
    assert (
        provider.sm3(b"abcd" * 16).hex()
        == "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"
    )


def test_sm4_block_as_in_gbt_32907() -> None:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    key = bytes.fromhex("0123456789abcdeffedcba9876543210")
    encryptor = Cipher(algorithms.SM4(key), modes.ECB()).encryptor()
    assert encryptor.update(key).hex() == "681edf34d206965e86b3e94f536e4246"


def test_sm4_gcm_as_in_rfc_8998() -> None:
    text = bytes.fromhex(
        "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd"
        "eeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa"
    )
    sealed = provider.seal(
        "sm4",
        bytes.fromhex("0123456789abcdeffedcba9876543210"),
        bytes.fromhex("00001234567800000000abcd"),
        text,
        bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
    )
    assert sealed.hex() == (
        "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735"
        "d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"
        "83de3541e4c2b58177e065a9bf7b62ec"
    )


def test_aes_256_gcm_as_published_with_the_mode() -> None:
    """Test case 16 of McGrew and Viega."""
    sealed = provider.seal(
        "aes",
        bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2),
        bytes.fromhex("cafebabefacedbaddecaf888"),
        bytes.fromhex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
        ),
        bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
    )
    assert sealed.hex() == (
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        "76fc6ece0f4e1768cddf8853bb2d551b"
    )


# SM2: the example of GB/T 32918.5 on the recommended curve.
PRIVATE = bytes.fromhex("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8")
PUBLIC = bytes.fromhex(
    "09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
    "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
)
SIGNATURE = bytes.fromhex(
    "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"
    "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA"
)

ENGINES: list[sm2.Engine] = [sm2.OpenSSL(), sm2.Gmssl()]


@pytest.mark.parametrize("engine", ENGINES, ids=["openssl", "gmssl"])
def test_sm2_signature_of_the_standard_is_accepted(engine: sm2.Engine) -> None:
    signer = b"1234567812345678"
    assert engine.verify(PUBLIC, b"message digest", SIGNATURE, signer)
    assert not engine.verify(PUBLIC, b"message digest!", SIGNATURE, signer)
    assert not engine.verify(PUBLIC, b"message digest", SIGNATURE, b"another signer")
    assert not engine.verify(PUBLIC, b"message digest", SIGNATURE[:-1] + b"\0", signer)


@pytest.mark.parametrize("engine", ENGINES, ids=["openssl", "gmssl"])
def test_sm2_public_key_of_the_standard_is_derived(engine: sm2.Engine) -> None:
    assert engine.public_of(PRIVATE) == PUBLIC


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=200), st.binary(min_size=1, max_size=32))
def test_each_engine_accepts_what_the_other_signed(message: bytes, signer: bytes) -> None:
    openssl, gmssl = ENGINES
    assert gmssl.verify(PUBLIC, message, openssl.sign(PRIVATE, message, signer), signer)
    assert openssl.verify(PUBLIC, message, gmssl.sign(PRIVATE, message, signer), signer)


def test_nonsense_is_refused_and_not_an_error() -> None:
    assert not sm2.verify(bytes(64), b"x", SIGNATURE)
    assert not sm2.verify(PUBLIC, b"x", b"short")
    assert not sm2.verify(PUBLIC, b"x", bytes(64))


def test_new_keys_differ_and_sign() -> None:
    private, public = sm2.new_key()
    assert (private, public) != sm2.new_key()
    assert sm2.verify(public, "合同".encode(), sm2.sign(private, "合同".encode()))


def test_the_active_engine_has_a_name_for_the_page() -> None:
    assert sm2.active().title in {sm2.OpenSSL.title, sm2.Gmssl.title}
    assert sm2.active().title in provider.name
    assert not provider.certified


def test_without_the_library_the_fallback_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: sm2.OpenSSL) -> None:
        raise OSError("libcrypto.so.3: cannot open shared object file")

    monkeypatch.setattr(sm2.OpenSSL, "__init__", missing)
    sm2.active.cache_clear()
    try:
        assert isinstance(sm2.active(), sm2.Gmssl)
        assert sm2.verify(PUBLIC, b"x", sm2.sign(PRIVATE, b"x"))
    finally:
        sm2.active.cache_clear()


@given(st.sampled_from(["sm4", "aes"]), st.binary(max_size=300), st.binary(max_size=60), st.data())
def test_any_changed_byte_makes_a_ciphertext_unreadable(
    algorithm: str, text: bytes, bound: bytes, data: st.DataObject
) -> None:
    key, nonce = bytes({"sm4": 16, "aes": 32}[algorithm]), bytes(12)
    sealed = bytearray(provider.seal(algorithm, key, nonce, text, bound))
    assert provider.open(algorithm, key, nonce, bytes(sealed), bound) == text
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= 1 + data.draw(st.integers(0, 254))
    with pytest.raises(Unreadable):
        provider.open(algorithm, key, nonce, bytes(sealed), bound)


def test_keys_have_the_length_of_their_cipher() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        provider.seal("sm4", bytes(32), bytes(12), b"", b"")


def test_secrets_are_compared_whole() -> None:
    assert same(b"abc", b"abc")
    assert not same(b"abc", b"abd")
