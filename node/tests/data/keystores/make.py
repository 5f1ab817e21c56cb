"""Makes the key files beside it with implementations that are not Proofgrid's: see README.md."""

import hashlib
import json
import pathlib
import unicodedata
import uuid

from Crypto.Cipher import AES
from Crypto.Util import Counter
from eth_keyfile import create_keyfile_json
from py_ecc.optimized_bn128 import G1, G2, field_modulus, multiply, normalize

HERE = pathlib.Path(__file__).parent
# A password with letters that EIP-2335 folds, a ligature and an accent, and one that it drops.
PASSWORD = "p\u00e4ssw\ufb01rd\u007f \U0001f511"
WALLET = bytes.fromhex("7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d")
# Of the first key both y are the smaller ones, of the second both the larger ones: see `mark`.
BLS = {
    "a": 0x0DBE7B2B0D0C9B6A37C7C1C2C2A79C8E60E0A1B6C0DD5D0A3AF7A8C0B1D2E3F4,
    "b": 0x00000000000000005E1FD0A1B2C3D4E5F60718293A4B5C6D7E8F90A1B2C3D4EA,
}


def mark(y):
    return 0b11 << 6 if y > (field_modulus - 1) // 2 else 0b10 << 6


def compressed(parts, y):
    out = bytearray(b"".join(int(part).to_bytes(32, "big") for part in parts))
    out[0] |= mark(int(y))
    return out.hex()


def public(secret):
    x, y = normalize(multiply(G1, secret))
    (x0, x1), (y0, y1) = (c.coeffs for c in normalize(multiply(G2, secret)))
    return {
        "decimal": f"E([{int(x)},{int(y)}])",
        "g1": compressed([x], y),
        "g2": compressed([x1, x0], y1 if int(y1) else y0),
    }


def eip_2335(secret, pubkey, kdf):
    salt, iv = hashlib.sha256(pubkey.encode()).digest(), hashlib.md5(pubkey.encode()).digest()
    folded = unicodedata.normalize("NFKD", PASSWORD)
    folded = "".join(c for c in folded if unicodedata.category(c) != "Cc").encode()
    if kdf == "scrypt":
        params = {"dklen": 32, "n": 1 << 18, "p": 1, "r": 8, "salt": salt.hex()}
        key = hashlib.scrypt(folded, salt=salt, n=1 << 18, r=8, p=1, dklen=32, maxmem=1 << 30)
    else:
        params = {"dklen": 32, "c": 1 << 18, "prf": "hmac-sha256", "salt": salt.hex()}
        key = hashlib.pbkdf2_hmac("sha256", folded, salt, 1 << 18, 32)
    counter = Counter.new(128, initial_value=int.from_bytes(iv, "big"))
    text = AES.new(key[:16], AES.MODE_CTR, counter=counter).encrypt(secret.to_bytes(32, "big"))
    return {
        "crypto": {
            "kdf": {"function": kdf, "params": params, "message": ""},
            "checksum": {
                "function": "sha256",
                "params": {},
                "message": hashlib.sha256(key[16:] + text).hexdigest(),
            },
            "cipher": {"function": "aes-128-ctr", "params": {"iv": iv.hex()}, "message": text.hex()},
        },
        "description": "",
        "pubkey": pubkey,
        "path": "m/254/60/0/0",
        "uuid": uuid.uuid5(uuid.NAMESPACE_URL, pubkey).hex,
        "version": 4,
        "curve": "bn254",
    }


def write(name, value):
    (HERE / name).write_text(json.dumps(value, separators=(",", ":")) + "\n")


for kdf, iterations in (("scrypt", 1 << 18), ("pbkdf2", 1 << 18)):
    keyfile = create_keyfile_json(WALLET, PASSWORD.encode(), kdf=kdf, iterations=iterations)
    write(f"wallet-{kdf}.ecdsa.key.json", keyfile)
for name, secret in BLS.items():
    keys = public(secret)
    number = secret.to_bytes(32, "big")
    sealed = create_keyfile_json(number, PASSWORD.encode(), kdf="scrypt", iterations=1 << 18)
    old = {"pubKey": keys["decimal"], "crypto": sealed["crypto"]}
    write(f"{name}-eigensdk.bls.key.json", old)
    write(f"{name}-g1.bls.key.json", eip_2335(secret, keys["g1"], "scrypt"))
    write(f"{name}-g2.bls.key.json", eip_2335(secret, keys["g2"], "pbkdf2"))
    print(name, hex(secret), keys)
