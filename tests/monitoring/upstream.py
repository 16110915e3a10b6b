"""Stand-ins for instances that remember what a balancer sends them."""

import http.server
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer is written in one go.
    wbufsize = -1

    def answer(self):
        upstream = self.server.upstream
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        probe = self.path == "/readyz"
        if not probe:
            with upstream.lock:
                upstream.seen.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
                upstream.connections.add(self.client_address)
        self.send_response(503 if upstream.stopping and not probe else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        # A balancer may break off a question about health.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Upstream:
    """`with Upstream() as upstream`: answers everything with 200, or with 503 while it is `stopping`, and its health with 200 always."""

    def __init__(self):
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.upstream = self
        self.port = self.server.server_address[1]
        self.stopping, self.lock = False, threading.Lock()
        self.clear()

    def clear(self):
        self.seen, self.connections = [], set()

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
