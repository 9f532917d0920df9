"""Runs command lines on a lab machine with python3-winrm and prints the answers as JSON.

Arguments: endpoint, transport (ntlm, basic), user, CA file or "-", command lines. The password comes in the environment.
"""
import json
import os
import sys
import warnings

warnings.simplefilter("ignore")

from winrm.exceptions import InvalidCredentialsError, WinRMError, WinRMTransportError
from winrm.protocol import Protocol

endpoint, transport, user, ca = sys.argv[1:5]
protocol = Protocol(
    endpoint=endpoint,
    transport=transport,
    username=user,
    password=os.environ["LAB_PASSWORD"],
    ca_trust_path=None if ca == "-" else ca,
    server_cert_validation="validate",
    message_encryption=os.environ.get("LAB_ENCRYPTION", "auto"),
    read_timeout_sec=20,
    operation_timeout_sec=10,
)
try:
    answers = []
    shell = protocol.open_shell(codepage=int(os.environ.get("LAB_CODEPAGE", "65001")))
    for line in sys.argv[5:]:
        command = protocol.run_command(shell, line)
        out, err, code = protocol.get_command_output(shell, command)
        protocol.cleanup_command(shell, command)
        answers.append({"line": line, "out": out.hex(), "err": err.hex(), "code": code})
    protocol.close_shell(shell)
    print(json.dumps({"answers": answers}))
except InvalidCredentialsError:
    print(json.dumps({"refused": True}))
except WinRMTransportError as e:
    print(json.dumps({"status": e.code, "body": e.response_text}))
