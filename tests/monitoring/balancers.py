"""nginx and HAProxy with the example files; only addresses and ports are changed."""

import os
import re
import socket

from report import StepError
from servers import PACK, Child, free_port, get, tool


def replace(text, changes, times=1):
    """Replaces every pattern; each must occur exactly so many times."""
    for pattern, replacement in changes:
        text, count = re.subn(pattern, replacement, text)
        if count != times:
            raise StepError(f"the example has {count} occurrences of {pattern}, expected {times}")
    return text


class Balancer(Child):
    # How many requests the clients of a step may have to repeat: nginx sends every read to another instance itself.
    max_repeats = 0

    def start(self):
        super().start()
        self.until(30, self.name, lambda: not socket.create_connection(("127.0.0.1", self.port), 1).close())
        self.until(10, f"{self.name} finds an instance", lambda: get(self.port, "/readyz")[0] == 200)
        return self


class Nginx(Balancer):
    def __init__(self, work, one, two, name=""):
        self.port = free_port()
        home = work / f"nginx{name}"
        home.mkdir(exist_ok=True)
        example = replace(
            (PACK / "nginx/attendance-api.conf").read_text(),
            [(r"10\.0\.0\.11:8080", f"127.0.0.1:{one}"), (r"10\.0\.0\.12:8080", f"127.0.0.1:{two}"), (r"\blisten 80;", f"listen 127.0.0.1:{self.port};")],
        )
        (home / "attendance-api.conf").write_text(example)
        temporary = "".join(f"{kind}_temp_path {home}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        # A minimal replacement of the distribution's nginx.conf, which includes the files of conf.d.
        (home / "nginx.conf").write_text(
            f"worker_processes 2;\npid {home}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}include {home}/attendance-api.conf;\n}}\n"
        )
        super().__init__(work, f"nginx{name}", [tool("nginx"), "-p", home, "-c", home / "nginx.conf", "-g", "daemon off;"])


class HaProxy(Balancer):
    # Eight clients while instances stop four times.
    max_repeats = 32

    def __init__(self, work, one, two, name=""):
        self.port = free_port()
        instances = [(r"10\.0\.0\.11:8080", f"127.0.0.1:{one}"), (r"10\.0\.0\.12:8080", f"127.0.0.1:{two}")]
        # Each instance occurs twice: the second is the backup that is used when all fail their checks.
        example = replace((PACK / "haproxy/attendance-api.cfg").read_text(), instances, 2)
        example = replace(example, [(r"bind :80\b", f"bind 127.0.0.1:{self.port}")])
        file = work / f"haproxy{name}.cfg"
        if os.geteuid() != 0:
            # Only root can change to another user.
            example = replace(example, [(r"\n    user haproxy", ""), (r"\n    group haproxy", "")])
        file.write_text(example)
        super().__init__(work, f"haproxy{name}", [tool("haproxy"), "-db", "-f", file])


# The names that appear in steps.
BALANCERS = (("nginx", Nginx), ("HAProxy", HaProxy))
