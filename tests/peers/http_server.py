"""A device with a web interface, on Python's own HTTP server: JSON, text and bytes, logins, ETags, faults on demand.

Prints its port, then each request as a line: METHOD PATH BODY.
"""

import base64
import hashlib
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STATE = {"set": 10.0, "open": False}
TEMPS = [21.5, 22.25, 23.0]
NONCE = "abc123"


def port_of_io_link(body):
    """The answer of an IO-Link master to its JSON command."""
    asked = json.loads(body)
    if asked.get("adr") == "/iolinkmaster/port[1]/iolinkdevice/pdin/getdata":
        return 200, {"cid": asked["cid"], "data": {"value": "00EB"}, "code": 200}
    return 200, {"cid": asked.get("cid"), "code": 404}


class Device(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, content, kind="application/json", headers=()):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def told(self, body=b""):
        print(self.command, self.path, body.decode("utf-8", "replace"), flush=True)

    def is_digest(self):
        header = self.headers.get("Authorization", "")
        if not header.startswith("Digest "):
            return False
        fields = dict(part.strip().split("=", 1) for part in header[7:].split(","))
        fields = {name: value.strip('"') for name, value in fields.items()}
        md5 = lambda text: hashlib.md5(text.encode()).hexdigest()
        one, two = md5("plant:device:secret"), md5(f"{self.command}:{self.path}")
        wanted = md5(f"{one}:{NONCE}:{fields['nc']}:{fields['cnonce']}:auth:{two}")
        return fields["response"] == wanted

    def do_GET(self):
        self.told()
        path = self.path.split("?")[0]
        if path == "/status":
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self.answer(200, {"temps": TEMPS, "ts": now, "ok": True, "name": "oven 7", "none": None, **STATE})
        elif path == "/many":
            self.answer(200, {"v": list(range(1000))})
        elif path == "/text":
            self.answer(200, b" 42.5 \n", "text/plain")
        elif path == "/raw":
            self.answer(200, bytes([0, 1, 0xFE, 0x0C]), "application/octet-stream")
        elif path == "/csv":
            self.answer(200, b"a,b,c\n1,2,3.5\n", "text/csv")
        elif path == "/etag":
            if self.headers.get("If-None-Match") == '"v1"':
                self.send_response(304)
                self.end_headers()
            else:
                self.answer(200, {"v": 7}, headers=[("ETag", '"v1"')])
        elif path == "/empty":
            self.send_response(204)
            self.end_headers()
        elif path == "/later":
            self.answer(429, {}, headers=[("Retry-After", "60")])
        elif path == "/here":
            self.answer(302, {}, headers=[("Location", "/text")])
        elif path == "/elsewhere":
            self.answer(302, {}, headers=[("Location", "http://192.0.2.1/text")])
        elif path == "/huge":
            self.send_response(200)
            self.send_header("Content-Length", str(5 << 20))
            self.end_headers()
            try:
                self.wfile.write(b"x" * (5 << 20))
            except OSError:
                pass
        elif path == "/basic":
            wanted = "Basic " + base64.b64encode(b"plant:secret").decode()
            is_right = self.headers.get("Authorization") == wanted
            self.answer(200 if is_right else 401, {"v": 1}, headers=[("WWW-Authenticate", 'Basic realm="device"')])
        elif path == "/digest":
            if self.is_digest():
                self.answer(200, {"v": 2})
            else:
                challenge = f'Digest realm="device", qop="auth", nonce="{NONCE}"'
                self.answer(401, {}, headers=[("WWW-Authenticate", challenge)])
        elif path == "/key":
            self.answer(200 if self.headers.get("X-Key") == "s3cret" else 403, {"v": 3})
        elif path.startswith("/code/"):
            self.answer(int(path.split("/")[2]), {})
        else:
            self.answer(404, {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.told(body)
        status, content = port_of_io_link(body)
        self.answer(status, content)

    def do_PUT(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.told(body)
        if self.path == "/set":
            value = json.loads(body)["set"]
            if value > 90:
                self.answer(422, {})
                return
            STATE["set"] = value
            self.answer(200, {})
        elif self.path == "/open":
            STATE["open"] = json.loads(body)
            self.send_response(204)
            self.end_headers()
        elif self.path == "/fails":
            self.answer(503, {})
        else:
            self.answer(404, {})


def main():
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Device)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


main()
