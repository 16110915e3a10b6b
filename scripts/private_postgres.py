"""A private PostgreSQL for scripts: unpacked from target/postgres, on a free port, removed at the end."""

import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time


class Postgres:
    """A running server; the end of the `with` block stops it and removes its directory."""

    def __init__(self, root, durable=False):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="attendance-pg-"))
        self.directory.chmod(0o755)
        archive = pathlib.Path(root) / "target/postgres/postgres.tar.x86.zst"
        if not archive.exists():
            raise SystemExit(f"{archive} is missing; `make postgres` fetches it")
        subprocess.run([pathlib.Path(root) / "packaging/postgres/unpack.sh", archive, self.directory], check=True)
        self.bin = next(path.parent for path in self.directory.rglob("initdb") if path.is_file())
        self.data = self.directory / "data"
        self.data.mkdir()
        self.unprivileged = []
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.data, nobody.pw_uid, nobody.pw_gid)
            self.unprivileged = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
        initdb = [self.bin / "initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        subprocess.run([*self.unprivileged, *initdb, "-D", self.data], check=True, stdout=subprocess.DEVNULL, cwd="/")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-p", str(self.port)]
        if not durable:
            options += ["-c", "fsync=off"]
        self.log = open(self.directory / "log", "w")
        self.process = subprocess.Popen(
            [*self.unprivileged, self.bin / "postgres", "-D", self.data, *options], stdout=self.log, stderr=self.log, cwd="/"
        )
        self.count = 0

    def __enter__(self):
        for _ in range(600):
            if subprocess.run([self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode == 0:
                return self
            time.sleep(0.1)
        raise SystemExit(f"PostgreSQL does not start; see {self.directory}/log")

    def __exit__(self, *_):
        # The data is removed, so that no checkpoint is needed, which may take minutes on a busy disk.
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(60)
        self.log.close()
        shutil.rmtree(self.directory)

    def psql(self, database, sql):
        """Runs SQL and returns its rows, unaligned."""
        words = [self.bin / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port)]
        done = subprocess.run([*words, "-U", "postgres", "-d", database, "-c", sql], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"psql: {done.stderr}")
        return done.stdout

    def create(self):
        """Creates a database and returns its name."""
        self.count += 1
        name = f"db_{self.count}"
        self.psql("postgres", f"CREATE DATABASE {name} TEMPLATE template0")
        return name

    def url(self, database):
        """Returns the JDBC URL of a database."""
        return f"jdbc:postgresql://127.0.0.1:{self.port}/{database}"
