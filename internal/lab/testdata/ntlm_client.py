"""Talks to a lab machine's WinRM over plain HTTP with gss-ntlmssp's NTLM and prints what happened as JSON.

Arguments: host, port, DOMAIN, user, what to do with the sealed message: send, flip (change one sealed byte) or repeat.
The password comes in the environment.
"""
import base64
import http.client
import json
import os
import struct
import sys
import uuid

import gssapi
from gssapi.raw import acquire_cred_with_password

host, port, domain, user, way = sys.argv[1:6]
NTLMSSP = gssapi.OID.from_int_seq("1.3.6.1.4.1.311.2.2.10")
BOUNDARY = b"--Encrypted Boundary"

name = gssapi.Name("%s\\%s" % (domain, user), gssapi.NameType.user)
cred = acquire_cred_with_password(name, os.environ["LAB_PASSWORD"].encode(), mechs=[NTLMSSP], usage="initiate").creds
flags = [gssapi.RequirementFlag.confidentiality, gssapi.RequirementFlag.integrity]
context = gssapi.SecurityContext(
    name=gssapi.Name("HTTP@" + host, gssapi.NameType.hostbased_service),
    creds=gssapi.Credentials(base=cred), mech=NTLMSSP, usage="initiate", flags=flags)

connection = http.client.HTTPConnection(host, int(port), timeout=20)


def post(body, headers):
    connection.request("POST", "/wsman", body=body, headers=headers)
    answer = connection.getresponse()
    return answer, answer.read()


def envelope():
    return ("""<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:r="http://schemas.microsoft.com/wbem/wsman/1/windows/shell"><s:Header>
<a:Action>http://schemas.xmlsoap.org/ws/2004/09/transfer/Create</a:Action><a:MessageID>uuid:%s</a:MessageID>
<w:ResourceURI>http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd</w:ResourceURI></s:Header>
<s:Body><r:Shell><r:InputStreams>stdin</r:InputStreams><r:OutputStreams>stdout stderr</r:OutputStreams></r:Shell></s:Body></s:Envelope>"""
            % uuid.uuid4()).encode()


def seal(plain):
    # a wrapped message is 16 bytes of signature and the sealed text
    token = context.wrap(plain, True).message
    return (BOUNDARY + b"\r\n\tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n"
            b"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=" + str(len(plain)).encode() + b"\r\n"
            + BOUNDARY + b"\r\n\tContent-Type: application/octet-stream\r\n" + struct.pack("<I", 16) + token + BOUNDARY + b"--\r\n")


def unseal(body):
    payload = body.split(b"application/octet-stream\r\n", 1)[1]
    payload = payload[:payload.rindex(BOUNDARY + b"--")]
    length = struct.unpack("<I", payload[:4])[0]
    assert length == 16, length
    opened = context.unwrap(payload[4:])
    assert opened.encrypted
    return opened.message


result = {}
token = None
while True:
    token = context.step(token)
    answer, _ = post(b"", {"Authorization": "Negotiate " + base64.b64encode(token).decode(), "Content-Length": "0"})
    result["logon"] = answer.status
    if context.complete or answer.status != 401:
        break
    token = base64.b64decode(answer.headers["WWW-Authenticate"].split(" ", 1)[1])

if result["logon"] == 200:
    headers = {"Content-Type": 'multipart/encrypted;protocol="application/HTTP-SPNEGO-session-encrypted";boundary="Encrypted Boundary"'}
    body = seal(envelope())
    if way == "flip":
        body = bytearray(body)
        body[len(body) // 2] ^= 1
        body = bytes(body)
    answer, text = post(body, headers)
    if way == "repeat":
        unseal(text)
        answer, text = post(body, headers)
    result["status"] = answer.status
    result["closed"] = answer.headers.get("Connection", "") == "close"
    result["text"] = unseal(text).decode() if answer.status == 200 else text.decode()
print(json.dumps(result))
