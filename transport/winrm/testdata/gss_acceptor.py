"""A WinRM endpoint whose NTLM and sealing are those of gss-ntlmssp, so that ours is proven against somebody else's.

Usage: gss_acceptor.py USERFILE. Prints its port. It opens a shell for whoever logs on, answers each sealed request with a sealed
answer, and breaks the seal of its answer to a request that holds the word "tamper".
"""
import base64
import http.server
import os
import re
import struct
import sys

os.environ["NTLM_USER_FILE"] = sys.argv[1]
import gssapi  # noqa: E402 (the library reads the environment when it is loaded)

NTLM = gssapi.OID.from_int_seq("1.3.6.1.4.1.311.2.2.10")
BOUNDARY = b"--Encrypted Boundary"
TYPE = 'multipart/encrypted;protocol="application/HTTP-SPNEGO-session-encrypted";boundary="Encrypted Boundary"'
NAMES = ('xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
         'xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell"')


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    context = None

    def log_message(self, *args):
        pass

    def reply(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = self.headers.get("Authorization", "").partition(" ")[2]
        if token:
            self.logon(base64.b64decode(token))
        elif self.context is None or not self.context.complete:
            self.reply(401, WWW_Authenticate="Negotiate")
        else:
            self.sealed(body)

    def logon(self, token):
        if self.context is None or self.context.complete:
            creds = gssapi.Credentials(usage="accept", mechs=[NTLM])
            self.context = gssapi.SecurityContext(creds=creds, usage="accept")
        try:
            out = self.context.step(token)
        except gssapi.exceptions.GSSError as error:
            print("refused", type(error).__name__, flush=True)
            self.context = None
            self.reply(401, WWW_Authenticate="Negotiate")
            return
        if self.context.complete:
            print("logon", self.context.initiator_name, flush=True)
            self.reply(200)
        else:
            self.reply(401, WWW_Authenticate="Negotiate " + base64.b64encode(out).decode())

    def sealed(self, body):
        start = body.index(b"application/octet-stream\r\n") + len(b"application/octet-stream\r\n")
        data = body[start:body.rindex(BOUNDARY + b"--")]
        size = struct.unpack("<I", data[:4])[0]
        try:
            text = self.context.unwrap(data[4:]).message.decode()
        except gssapi.exceptions.GSSError as error:
            print("broken", type(error).__name__, flush=True)
            self.close_connection = True
            self.reply(400)
            return
        declared = int(re.search(rb"Length=(\d+)", body).group(1))
        print("opened", size, declared == len(text.encode()), flush=True)
        action = re.search(r"Action[^>]*>([^<]+)<", text).group(1)
        inner = {"Create": "<rsp:Shell><rsp:ShellId>GSS</rsp:ShellId></rsp:Shell>",
                 "Command": "<rsp:CommandResponse><rsp:CommandId>C1</rsp:CommandId></rsp:CommandResponse>",
                 "Receive": '<rsp:ReceiveResponse><rsp:Stream Name="stdout" CommandId="C1">c2VhbGVkIMOp</rsp:Stream><rsp:CommandState CommandId="C1" '
                            'State="http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandState/Done"><rsp:ExitCode>0</rsp:ExitCode>'
                            "</rsp:CommandState></rsp:ReceiveResponse>"}.get(action.rpartition("/")[2], "")
        answer = (f"<s:Envelope {NAMES}><s:Header><a:Action>{action}Response</a:Action></s:Header><s:Body>{inner}</s:Body></s:Envelope>").encode()
        wrapped = bytearray(self.context.wrap(answer, True).message)
        if "tamper" in text:
            wrapped[-1] ^= 1
        self.reply(200, BOUNDARY + b"\r\n\tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n\tOriginalContent: "
                   b"type=application/soap+xml;charset=UTF-8;Length=" + str(len(answer)).encode() + b"\r\n" + BOUNDARY +
                   b"\r\n\tContent-Type: application/octet-stream\r\n" + struct.pack("<I", 16) + bytes(wrapped) + BOUNDARY + b"--\r\n",
                   Content_Type=TYPE)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print("port", server.server_address[1], flush=True)
server.serve_forever()
