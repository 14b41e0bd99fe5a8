"""Remakes vectors.json, from the format in src/lib.rs and not from the Rust code.

    python3 vectors.py > vectors.json      (needs PyPI `cryptography`)

A good vector opens to its plaintext, and sealing the plaintext with its nonce gives its bytes.
A bad vector is `sealed` bytes, or every value made from a good one by
  truncate_to [a, b)   keeping the first n bytes, for each n,
  flip_bits   [a, b)   inverting bit n (bit 0 is the highest of byte 0), for each n,
  append               adding bytes,
  place                asking for it in another place,
and each of them must fail as `expect` says.
"""

import hashlib
import hmac
import json

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

OVERHEAD = 1 + 8 + 12 + 16


def lp(*parts):
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def key_id(key):
    return hashlib.sha256(b"grantry/key-id/v1\0" + key).digest()[:8]


def seal(key, place, nonce, plaintext):
    words = [place[word].encode() for word in ("team", "table", "row", "field")]
    prk = hmac.digest(b"grantry/envelope/v1", key, "sha256")
    info = b"grantry/field/v1" + lp(words[2], words[3])
    cipher_key = hmac.digest(prk, info + b"\x01", "sha256")
    associated_data = lp(b"\x01", *words, key_id(key))
    return b"\x01" + key_id(key) + nonce + AESGCM(cipher_key).encrypt(nonce, plaintext, associated_data)


def drawn(label, length):
    return hashlib.shake_256(label.encode()).digest(length)


def place(team, table, row, field):
    return {"team": team, "table": table, "row": row, "field": field}


KEY, OTHER_KEY = drawn("key", 32), drawn("other key", 32)
TOKEN = place("team_1", "token_sets", "ts_1", "refresh_token")
GOOD = [
    ("token", TOKEN, b"ghr_1B4a2e77838347a7E420ce178F2E7c6912E169246c34E1ccbF66C46812d16D5B1A9Dc86A1498"),
    ("empty", TOKEN, b""),
    ("server-wide", place("", "issuer_keys", "k1", "pkcs8"), drawn("pkcs8", 1218)),
    ("not ascii", place("équipe", "secrets", "clé/№1", "valeur"), "naïve ☃".encode()),
    ("all words empty", place("", "", "", ""), b"\0"),
    ("data key", place("team_1", "data_keys", key_id(OTHER_KEY).hex(), "key"), OTHER_KEY),
]

good, sealed = [], {}
for name, where, plaintext in GOOD:
    nonce = drawn("nonce " + name, 12)
    sealed[name] = seal(KEY, where, nonce, plaintext)
    good.append({"name": name, "place": where, "nonce": nonce.hex(),
                 "plaintext": plaintext.hex(), "sealed": sealed[name].hex()})

size = len(sealed["token"])
header = 1 + 8
bad = [
    {"name": "empty input", "place": TOKEN, "sealed": "", "expect": "truncated"},
    {"name": "too short for header and tag", "of": "token", "truncate_to": [0, OVERHEAD], "expect": "truncated"},
    {"name": "cut at every other length", "of": "token", "truncate_to": [OVERHEAD, size], "expect": "not-authentic"},
    {"name": "empty plaintext cut", "of": "empty", "truncate_to": [0, OVERHEAD], "expect": "truncated"},
    {"name": "each bit of the version", "of": "token", "flip_bits": [0, 8], "expect": "unknown-version"},
    {"name": "each bit of the key id", "of": "token", "flip_bits": [8, 8 * header], "expect": "unknown-key"},
    {"name": "each bit of nonce, text and tag", "of": "token", "flip_bits": [8 * header, 8 * size], "expect": "not-authentic"},
    {"name": "each bit of nonce and tag of nothing", "of": "empty", "flip_bits": [8 * header, 8 * OVERHEAD], "expect": "not-authentic"},
    {"name": "one byte more", "of": "token", "append": "00", "expect": "not-authentic"},
    {"name": "twice over", "of": "token", "append": sealed["token"].hex(), "expect": "not-authentic"},
    {"name": "moved team", "of": "token", "place": {**TOKEN, "team": "team_2"}, "expect": "not-authentic"},
    {"name": "moved table", "of": "token", "place": {**TOKEN, "table": "connectors"}, "expect": "not-authentic"},
    {"name": "moved row", "of": "token", "place": {**TOKEN, "row": "ts_2"}, "expect": "not-authentic"},
    {"name": "moved field", "of": "token", "place": {**TOKEN, "field": "access_token"}, "expect": "not-authentic"},
    {"name": "team in other case", "of": "token", "place": {**TOKEN, "team": "Team_1"}, "expect": "not-authentic"},
    {"name": "word boundary moved", "of": "token", "place": {**TOKEN, "row": "ts_1r", "field": "efresh_token"}, "expect": "not-authentic"},
    {"name": "sealed by a key that is not loaded", "place": TOKEN,
     "sealed": seal(OTHER_KEY, TOKEN, drawn("n", 12), b"x").hex(), "expect": "unknown-key"},
    {"name": "sealed by another key under this key's id", "place": TOKEN,
     "sealed": (b"\x01" + key_id(KEY) + seal(OTHER_KEY, TOKEN, drawn("n", 12), b"x")[9:]).hex(), "expect": "not-authentic"},
    {"name": "version 0", "place": TOKEN, "sealed": "00" + sealed["token"].hex()[2:], "expect": "unknown-version"},
    {"name": "version 2, too short for version 1", "place": TOKEN, "sealed": "02", "expect": "unknown-version"},
]

print(json.dumps({"about": "made by vectors.py, which says how to read it",
                  "key": KEY.hex(), "key_id": key_id(KEY).hex(), "good": good, "bad": bad},
                 indent=1, ensure_ascii=False))
