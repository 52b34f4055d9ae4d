# SPDX-License-Identifier: Apache-2.0
"""A Python that has imported torch, of which a copy runs each command: half of what a conversion takes is that import.

Nothing of spikerun is imported before: what a command forgets to import, it lacks here as well.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

# It starts in an instant: without `site`, and next to no imports. It hands over its words, folder, variables and files.
CLIENT = """#!{python} -IS
import json, os, socket, sys
link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
link.connect({address!r})
socket.send_fds(link, [json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()], [0, 1, 2])
sys.exit(int(link.recv(8) or 1))
"""


@contextmanager
def serving(command: Path) -> Iterator[None]:
    """Write a command that takes `-c CODE` or `-m MODULE`, and words, as Python does; all it starts ends with this."""
    address = f"{command}.socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(address)
        listening.listen()
        command.write_text(CLIENT.format(python=sys.executable, address=address))
        command.chmod(0o755)
        words = [sys.executable, "-I", __file__, str(listening.fileno())]
        with subprocess.Popen(words, pass_fds=[listening.fileno()], start_new_session=True) as server:
            try:
                yield
            finally:
                os.killpg(server.pid, signal.SIGKILL)


def forked(listening: socket.socket) -> list[str]:
    """Serve for ever; return in copies alone, each in the folder and with the variables of who asked: its words."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait for copies
    while True:
        link, _ = listening.accept()
        if os.fork() == 0:
            break
        link.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    asked, files, _, _ = socket.recv_fds(link, 1 << 20, 3)
    if copy := os.fork():
        code = os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])
        link.send(str(code % 256).encode())
        os._exit(0)
    link.close()
    listening.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    words, folder, variables = json.loads(asked)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    return [str(word) for word in words]


def start(how: str, what: str, *words: str) -> None:
    """Do what Python does when it starts: the path, `sitecustomize`, the code or the module."""
    sys.path[:0] = ["", *os.environ.get("PYTHONPATH", "").split(":")]
    sys.modules.pop("sitecustomize", None)
    __import__("sitecustomize")
    sys.argv = [how, *words]
    if how == "-c":
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_module(what, run_name="__main__", alter_sys=True)


def leave(code: object) -> NoReturn:
    """End as Python does, but for the objects that remain: to free those of torch takes as long as a small command."""
    atexit._run_exitfuncs()
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    import torch

    torch.export.export(torch.nn.Identity(), (torch.zeros(1),)).run_decompositions()  # what it imports when it is used
    gc.freeze()  # else copies look through all of it again, and the system copies it
    request = forked(socket.socket(fileno=int(sys.argv[1])))
    try:
        start(*request)
    except SystemExit as ended:
        leave(ended.code)
    except BaseException:
        traceback.print_exc()
        leave(1)
    leave(0)
