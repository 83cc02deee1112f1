"""Starts commands in processes that have imported the libraries already.

A new Python process imports the libraries of a command for two to three seconds. A server imports
them once, and forks a process for each command. The process of a command has its own folder,
environment, streams and signals, but the imported modules are copies of the server's modules.

python tests/helpers/fork_server.py SOCKET    serves the commands that arrive at a file descriptor
"""

import ctypes
import gc
import json
import os
import socket
import subprocess
import sys

# A command with other variables of these libraries than the tests is started as a new process,
# because libraries read such variables while they are imported.
READ_AT_IMPORT = "JAX_", "PYTHON", "MPL", "FLAX_", "LD_", "OPENBLAS_"
DEVICES = "JAX_NUM_CPU_DEVICES"  # JAX can change this option after its import.
PR_SET_CHILD_SUBREAPER = 36


class ForkServer:
    """A process that has imported the libraries, and that ends together with this process."""

    def __init__(self):
        self.environment = read_at_import(os.environ)
        # Processes without a parent become children of this process, so that it can wait for them.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
        self.connection, server = socket.socketpair()
        with server:
            self.process = subprocess.Popen(
                [sys.executable, __file__, str(server.fileno())],
                pass_fds=[server.fileno()],
                stdout=subprocess.PIPE,  # a pipe, because Python buffers files in another way
                # One thread, because a process with threads must not fork.
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            )

    def can_start(self, environment):
        """Whether the server's modules are those that a new process would import."""
        has_number = environment.get(DEVICES, "1").isdecimal()
        return has_number and read_at_import(environment) == self.environment

    def fork(self, arguments, folder, environment, streams):
        """Starts a command, and returns the number of its process."""
        message = json.dumps([arguments, str(folder), environment]).encode()
        self.connection.sendall(len(message).to_bytes(8, "little"))
        socket.send_fds(self.connection, [b"."], streams)
        self.connection.sendall(message)
        number = int.from_bytes(self.connection.recv(8), "little")
        assert number, "the fork server has ended"
        return number


def read_at_import(environment):
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(READ_AT_IMPORT) and name != DEVICES
    }


class ForkedProcess(subprocess.Popen):
    """A process of a fork server, with the methods of any other process."""

    def __init__(self, server, arguments, **options):
        self.server = server
        super().__init__(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def _execute_child(self, arguments, *options):
        folder, environment = options[4:6]
        out, err = options[12], options[14]
        self.pid = self.server.fork(arguments, folder, environment, (out, err))
        self._child_created = True
        os.close(out)
        os.close(err)


def serve(connection):
    import pix2pix_jax.evaluation.evaluate
    import pix2pix_jax.inference.translate
    import pix2pix_jax.training.train  # noqa: F401

    gc.freeze()  # The collector of a forked process would copy the pages of all these modules.
    while length := connection.recv(8):
        _, streams, *_ = socket.recv_fds(connection, 1, 2)
        message = connection.recv(int.from_bytes(length, "little"), socket.MSG_WAITALL)
        reading, writing = os.pipe()
        if (middle := os.fork()) == 0:
            if (pid := os.fork()) == 0:
                for place in (connection.detach(), reading, writing):
                    os.close(place)
                return run_command(*json.loads(message), streams)
            os.write(writing, pid.to_bytes(8, "little"))
            os._exit(0)
        os.waitpid(middle, 0)  # Its child now belongs to the process that started this server.
        connection.sendall(os.read(reading, 8))
        for place in (reading, writing, *streams):
            os.close(place)
    return 0


def run_command(arguments, folder, environment, streams):
    """Runs a command in this process, as `python -m pix2pix_jax` does."""
    for number, stream in enumerate(streams, 1):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)

    import jax

    from pix2pix_jax.cli.main import main

    if count := environment.get(DEVICES):
        jax.config.update(DEVICES.lower(), int(count))
    return main(arguments)


if __name__ == "__main__":
    sys.exit(serve(socket.socket(fileno=int(sys.argv[1]))))
