"""Servers in the place of instances that record the requests of a load balancer."""

import http.server
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body of an answer are written together.
    wbufsize = -1

    def answer(self):
        upstream = self.server.upstream
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        probe = self.path == "/readyz"
        if not probe:
            with upstream.lock:
                upstream.seen.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
                upstream.connections.add(self.client_address)
        self.send_response(503 if upstream.is_stopping and not probe else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        # A load balancer may close the connection of a health check early.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Upstream:
    """Answers every request with 200, or with 503 while `is_stopping` is set; health checks always with 200."""

    def __init__(self):
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.upstream = self
        self.port = self.server.server_address[1]
        self.is_stopping, self.lock = False, threading.Lock()
        self.clear()

    def clear(self):
        self.seen, self.connections = [], set()

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
